"""Files in and out: ROOT ntuples and Parquet datasets, always written under a temporary name first."""
