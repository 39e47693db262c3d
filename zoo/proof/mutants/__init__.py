"""Mutants: mistakes that a backend could make, as data, and whether the proof sees each.

`zoo.proof.mutants.catalog` lists them, `zoo.proof.mutants.run` gives them to the proof, and
`zoo.proof.mutants.doubt` does so for a doubter.
"""
