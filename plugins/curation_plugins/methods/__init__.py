"""Published methods of data curation as data: a card each (`cards/*.yaml`), its shape, and a library of them."""
