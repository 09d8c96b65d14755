# CausalMix mixture best, revision 3, for LitData and LitGPT. Made for pool 0123456789ab.
# The number of each domain is the part of the tokens.

from litdata import CombinedStreamingDataset, StreamingDataset, TokensLoader

SEED = 7
DOMAINS = {
    # domain: its folder, its part of the tokens
    'code': ('/tokens/code', 0.333333333),
    'math.proofs': ('/tokens/math.proofs', 0.00005),
    'web': ('/tokens/web', 0.666616667),
}


def mixture(block_size: int) -> CombinedStreamingDataset:
    """Blocks of tokens; an epoch ends when the first domain has run out."""
    parts = [
        StreamingDataset(
            input_dir=folder,
            item_loader=TokensLoader(block_size=block_size),
            shuffle=True,
            drop_last=True,
        )
        for folder, _ in DOMAINS.values()
    ]
    return CombinedStreamingDataset(
        datasets=parts,
        seed=SEED,
        weights=[part for _, part in DOMAINS.values()],
        iterate_over_all=False,
    )
