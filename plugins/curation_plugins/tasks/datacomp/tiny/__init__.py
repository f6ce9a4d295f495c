"""The files of `datacomp-tiny`, made locally: a small real experiment in DataComp's own layout."""
