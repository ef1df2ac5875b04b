"""How a training is started, given the resources of its rule: alone, or as one task for each device of a cluster."""

from collections.abc import Mapping
from typing import Any

from retmech.errors import ConfigError


def launcher(resources: Mapping[str, Any], threads: int) -> str:
    """What stands before the command: ``srun`` where the rule has the resource ``mpi``, nothing elsewhere.

    Snakemake's SLURM executor starts a rule as one task and takes away the variables from which ``srun`` would know the
    allocation, so everything is said.
    """
    if not resources.get("mpi"):
        return ""
    nodes, per_node = _tasks(resources)
    count = f"--nodes={nodes} --ntasks={nodes * per_node} --ntasks-per-node={per_node}"
    return f"{resources['mpi']} {count} --cpus-per-task={threads}"


def device_arguments(resources: Mapping[str, Any]) -> str:
    """How many processes a training is, as ``retmech train`` is told."""
    nodes, per_node = _tasks(resources) if resources.get("mpi") else (1, resources["devices"])
    return f"--devices {per_node} --nodes {nodes}"


def _tasks(resources: Mapping[str, Any]) -> tuple[int, int]:
    """(nodes, tasks on each) of an allocation."""
    nodes = resources.get("nodes") or 1
    if per_node := resources.get("tasks_per_node"):
        return nodes, per_node
    count = resources.get("tasks") or 0
    if not count or count % nodes:
        raise ConfigError(f"mpi on {nodes} nodes: expected tasks_per_node, or tasks that they share evenly, found {count} tasks")
    return nodes, count // nodes
