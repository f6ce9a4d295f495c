"""Uids of DataComp's form (32 hexadecimal digits), millions at a time: their order, their text, and lists of them."""
