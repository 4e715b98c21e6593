"""The classical algorithms in PyTorch, for any device that has double precision; the results are those of `mlpf.classical`.

| numba | torch |
|---|---|
| `mlpf.classical.clue.clue` | `on_device.clue.clue` |
| `mlpf.classical.links.find_links`: pairs and distances | `on_device.links.find_links` |
| `mlpf.classical.blocks.find_blocks` | `on_device.blocks.find_blocks` |
| `mlpf.classical.clue_blocks.clue_blocks` | `on_device.clue_blocks.clue_blocks` |

    from mlpf.classical.elements import elements_of
    from mlpf.classical.on_device.blocks import find_blocks
    from mlpf.classical.on_device.links import find_links
    from mlpf.io.ntuple import read_ntuple

    elements = elements_of(read_ntuple("data/ttbar.root"))
    links = find_links(elements, "cuda")  # tensors i, j, distance
    blocks = find_blocks(links, len(elements.type))  # (N,) first element of each element's block
"""
