"""Networks, their training with Lightning and their storage as datasets. No paths except the scratch folder."""
