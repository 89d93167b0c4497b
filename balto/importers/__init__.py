"""What other tools have measured, as recorded pools: TenSet's files and MetaSchedule's databases.

Everything is read as data: no class of a file is made, nothing that it names is called, and neither
TenSet's fork of TVM nor torch is needed. `docs/importing.md` says what becomes of each value.
"""
