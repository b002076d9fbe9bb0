"""Write bank.csv and partner.csv."""

from vflfast.samples import write_bank

write_bank(".", n_rows=1000)
