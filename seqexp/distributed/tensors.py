"""Tensors whose rows are shared out over processes, as `fsdp` shares out weights and their gradients: torch's DTensors.

All other tensors are taken too, and are whole. torch's package of DTensors takes a second to import, so it is imported
only where there is one.
"""

from torch import Tensor


def is_shared_out(tensor: Tensor) -> bool:
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, in every process; all processes call it. Of sums of rows the sum over all processes."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def own_rows(tensor: Tensor) -> tuple[Tensor, int]:
    """What this process holds, and the number of the first row. They share their memory with the tensor.

    Raises:
        TypeError: it is shared out in another way than by rows.
    """
    if not is_shared_out(tensor):
        return tensor, 0
    from torch.distributed.tensor import DTensor, Shard

    assert isinstance(tensor, DTensor)
    if tensor.placements != (Shard(0),):
        raise TypeError(f"a tensor that is distributed as {tensor.placements} is not shared out by rows")
    num_rows, mesh = tensor.shape[0], tensor.device_mesh
    return tensor.to_local(), min(mesh.get_local_rank() * -(-num_rows // mesh.size()), num_rows)


def of_rows(rows: Tensor, like: Tensor) -> Tensor:
    """The tensor of which this process holds these rows, shared out as another one of its shape."""
    from torch.distributed.tensor import DTensor

    assert isinstance(like, DTensor)
    mesh, placements = like.device_mesh, like.placements
    return DTensor.from_local(rows, mesh, placements, run_check=False, shape=like.shape, stride=like.stride())


def shared_out_as(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor that every process has all of, shared out as another one of its shape."""
    if not is_shared_out(like):
        return tensor
    held, first = own_rows(like)
    return of_rows(tensor[first : first + len(held)], like)
