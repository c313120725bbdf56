"""A function of tensors as a flat list of kernels: recorded once for a set of shapes, then replayed.

In small networks most time goes into deciding which kernels to call, and half of the calls only rename a
tensor. A recording decides once, drops those, and knows in advance how much memory it will need.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

_ATEN = torch.ops.aten
_RESHAPES = (_ATEN.view.default, _ATEN._unsafe_view.default, _ATEN.expand.default, _ATEN.reshape.default)


def record(function: Callable[..., Any], *arguments: Any, compute: bool = False) -> GraphModule:
    """``function`` for arguments of these shapes. The recording gives the same numbers.

    compute: False records without computing anything; memory layouts are then foretold, which fails for a few
        kernels (replaying raises RuntimeError). True computes once and notes the layouts that were.

    Raises RuntimeError where what is done depends on the numbers.
    """
    mode = "real" if compute else "fake"
    recorded = make_fx(function, tracing_mode=mode, _allow_non_fake_inputs=not compute)(*arguments)
    for node in list(recorded.graph.nodes):
        same = _same_as(node)
        if same is not None:
            node.replace_all_uses_with(same)
            recorded.graph.erase_node(node)
    recorded.graph.eliminate_dead_code()
    recorded.recompile()
    return recorded


def peak_bytes(recorded: GraphModule) -> int:
    """The most bytes alive at once when the kernels run in order, each value freed after its last use."""
    nodes = list(recorded.graph.nodes)
    last_use = {used: node for node in nodes for used in node.all_input_nodes}
    storages_of: dict[Node, set[int]] = {}
    references: dict[int, int] = {}
    sizes: dict[int, int] = {}
    peak = 0
    for node in nodes:
        values = node.meta.get("val", ())
        values = values if isinstance(values, tuple | list) else (values,)
        storages = [value.untyped_storage() for value in values if isinstance(value, Tensor)]
        sizes |= {storage._cdata: storage.nbytes() for storage in storages}
        storages_of[node] = {storage._cdata for storage in storages}
        for storage in storages_of[node]:
            references[storage] = references.get(storage, 0) + 1
        peak = max(peak, sum(sizes[storage] for storage in references))
        for used in node.all_input_nodes:
            if last_use[used] is node:
                for storage in storages_of.pop(used, ()):
                    references[storage] -= 1
                    if references[storage] == 0:
                        del references[storage]
    return peak


def _same_as(node: Node) -> Node | None:
    """The input that this node only renames, if it does."""
    source = node.args[0] if node.op == "call_function" and node.args else None
    if not isinstance(source, Node):
        return None
    before, after = source.meta.get("val"), node.meta.get("val")
    if not (isinstance(before, Tensor) and isinstance(after, Tensor)):
        return None
    if node.target in _RESHAPES and before.shape == after.shape and before.stride() == after.stride():
        return source
    if node.target is _ATEN.pow.Tensor_Scalar and node.args[1] == 1 and before.dtype == after.dtype:
        return source
    if node.target is source.target is _ATEN.transpose.int and isinstance(source.args[0], Node):
        back = node.args[1:] in (source.args[1:], source.args[:0:-1])
        return source.args[0] if back else None
    return None
