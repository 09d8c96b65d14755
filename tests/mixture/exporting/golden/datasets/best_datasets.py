# CausalMix mixture best, revision 3, for Hugging Face datasets. Made for pool 0123456789ab.
# The number of each domain is the part of the rows.
# Tokens of the pool are counted as bytes.

from datasets import Dataset, interleave_datasets, load_dataset

SEED = 7
ROWS = 30749  # documents that hold about 9000000 tokens
STOPPING_STRATEGY = "first_exhausted"  # the only one that keeps the shares; see `repeat`
DOMAINS = {
    # domain: what load_dataset is given, the column of the text, how often it is read, its part of the rows
    'code': ({'path': 'parquet', 'data_files': ['/pool/documents/code.parquet']}, 'text', 1, 0.024390839),
    'math.proofs': ({'path': 'parquet', 'data_files': ['/pool/documents/math.proofs.parquet']}, 'text', 1, 0.000048782),
    'web': ({'path': 'parquet', 'data_files': ['/pool/documents/web.parquet']}, 'text', 3, 0.975560379),
}


def mixture(shuffle: bool = True) -> Dataset:
    """The mixed documents, with the column `text`."""
    parts, probabilities = [], []
    for source, column, repeat, part in DOMAINS.values():
        documents = load_dataset(**source, split="train").select_columns([column])
        if column != "text":
            documents = documents.rename_column(column, "text")
        if shuffle:
            documents = documents.shuffle(seed=SEED)
        parts.append(documents.repeat(repeat))
        probabilities.append(part)
    mixed = interleave_datasets(
        parts, probabilities=probabilities, seed=SEED, stopping_strategy=STOPPING_STRATEGY
    )
    return mixed.select(range(min(ROWS, len(mixed))))


if __name__ == "__main__":
    print(mixture())
