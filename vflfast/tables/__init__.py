"""Tables as people have them: files and their cells, columns and their kinds, ids as text, SQL selections and their specifications."""
