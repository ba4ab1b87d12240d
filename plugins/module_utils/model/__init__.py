"""The model: what a user wrote, checked and completed, with everything else derived from it.

Pure: no file, network, clock or process is touched here. `schema` lists the keys, and `validation` finds every fault in one
pass. `resolve` turns an entry and a host's facts into a resolved app. `artefacts` lists the files that follow from it.
"""
