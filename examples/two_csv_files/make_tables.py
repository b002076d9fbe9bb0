"""Write bank.csv and partner.csv, and those of a later month."""

from vflfast.samples import write_bank

write_bank(".", n_rows=1000)
write_bank("later", n_rows=300, later=True)
