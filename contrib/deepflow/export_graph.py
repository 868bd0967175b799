#!/usr/bin/env python3
"""Writes the graphs of a DeepFlow or RAPID-LLM run as astra-graph JSON, with a recipe that simulates them.

    python3 export_graph.py --checkout ~/DeepFlow --out study -- \\
        run_perf.py --hardware_config hw.yaml --model_config model.yaml
    astra-store build study/recipe.json

The run is that of the checkout, which is not changed: this script stands between the run and its converter, writes down
each graph that is about to be converted, and lets the run go on. Graphs are written before anything is simulated, so a
run that fails afterwards, because its simulator is not built, has still exported the graphs up to there. Needs Python 3.9 and
nothing else; the format is described in docs/graph-format.md of astra-store.
"""

import argparse
import importlib
import json
import math
import os
import runpy
import shutil
import sys

# The module in which the run looks its converter up, and what the converter is called there.
EXECUTOR = "astrasim_lib.executor"
CONVERTERS = ("convert_deepflow_graph_to_chakra_et", "convert_rapid_llm_graph_to_chakra_et")
CONFIGURATION = "generate_astrasim_configs_from_hw"
LAYOUT = "_astrasim_rank_layout"

# The newer name of an axis, and the one that hardware files of astra-store have for it.
AXES = {"pp": "lp"}

# What a conversion does not read, but a reader may want to know.
INFO = ("fwd", "stage_id", "micro_batch_index", "layer_index", "direction", "tp_rank", "cp_rank",
        "is_dp", "is_cross_layer", "tp_shard")


class ExportError(Exception):
    """What is wrong, for the user."""


def describe(root, replicas):
    """The astra-graph document of a graph: its root, or a list of roots, and the degree of data parallelism."""
    roots = list(root) if isinstance(root, (list, tuple)) else [root]
    objects = in_order(roots)
    position = {id(obj): at for at, obj in enumerate(objects)}
    graph = {"astra_graph": 1, "replicas": max(1, int(replicas or 1))}
    layout = getattr(root, LAYOUT, None)
    if layout:
        graph["layout"] = describe_layout(layout)
    graph["roots"] = [position[id(obj)] for obj in roots]
    graph["nodes"] = [describe_node(obj, position) for obj in objects]
    return graph


def in_order(roots):
    """All objects: those that the roots reach through children, depth first, then the rest of what they are joined to."""
    seen, ordered = set(), []

    def visit(starts, neighbours):
        stack = list(reversed(starts))
        while stack:
            obj = stack.pop()
            if id(obj) not in seen:
                seen.add(id(obj))
                ordered.append(obj)
                stack.extend(reversed(neighbours(obj)))

    visit(roots, children_of)
    for obj in list(ordered):
        visit(parents_of(obj), lambda other: parents_of(other) + children_of(other))
    return ordered


def children_of(obj):
    return list(getattr(obj, "children", None) or ())


def parents_of(obj):
    return list(getattr(obj, "parents", None) or ())


def describe_layout(layout):
    axes = [
        {"axis": AXES.get(axis, axis), "size": layout["axis_sizes"][axis], "stride": layout["axis_strides"][axis]}
        for axis in layout["axis_order"]
    ]
    return {"axes": axes, "span": layout["stage_span"]}


def describe_node(obj, position):
    if hasattr(obj, "comm_type"):
        node = {"type": "communication", "name": str(obj.name), **communication(obj)}
    elif hasattr(obj, "hw_id"):
        node = {"type": "compute", "name": str(obj.name), **computation(obj)}
    else:
        node = {"type": "join", "name": str(obj.name)}
    op = getattr(obj, "op_id", getattr(obj, "batch_id", None))
    if op is not None and int(op) >= 0:
        node["op"] = int(op)
    info = {name: getattr(obj, name) for name in INFO if plain(getattr(obj, name, None))}
    if info:
        node["info"] = info
    node["parents"] = [position[id(parent)] for parent in parents_of(obj)]
    node["children"] = [position[id(child)] for child in children_of(obj)]
    return node


def plain(value):
    return isinstance(value, (bool, int, float, str))


def computation(obj):
    duration = obj.duration
    if isinstance(duration, (list, tuple)):
        node = {"seconds": [float(seconds) for seconds in duration]}
    else:
        node = {"seconds": float(duration or 0.0)}
    if obj.hw_id is not None and int(obj.hw_id) >= 0:
        node["hw"] = int(obj.hw_id)
    if getattr(obj, "flatten_placeholder", False):
        node["placeholder"] = True
    return node


def communication(obj):
    kind = getattr(obj.comm_type, "value", obj.comm_type)
    size = getattr(obj, "comm_size_bytes", 0) or 0
    node = {"kind": str(kind) if kind else "none", "bytes": size}
    axis = getattr(obj, "comm_interconnect_type", None)
    if axis:
        node["axis"] = AXES.get(str(axis), str(axis))
    participants = getattr(obj, "participants", None)
    if participants:
        node["participants"] = int(participants)
    hardware = getattr(obj, "local_hw_id", None)
    if hardware is not None and int(hardware) >= 0:
        node["hw"] = int(hardware)
    return node


class Export:
    """A directory with graphs, the hardware file and a recipe, complete after each graph."""

    def __init__(self, directory, name, hardware):
        self.directory, self.name = directory, name
        self.graphs, self.runs = {}, []
        try:
            with open(hardware, encoding="utf-8") as file:
                # A path of a sweep has to exist in the file.
                self.names_faults = "faulty_links:" in file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise ExportError("cannot read the hardware file %s: %s" % (hardware, error)) from error
        try:
            os.makedirs(directory, exist_ok=True)
            shutil.copyfile(hardware, os.path.join(directory, "hardware.yaml"))
        except OSError as error:
            raise ExportError("cannot write to %s: %s" % (directory, error)) from error

    def graph(self, root, replicas):
        """Writes a graph, unless it has been written before."""
        graph = describe(root, replicas)
        for node in graph["nodes"]:
            for key in ("seconds", "bytes"):
                figures = node.get(key, 0)
                for figure in figures if isinstance(figures, list) else [figures]:
                    if not math.isfinite(figure):
                        raise ExportError("the %s of `%s` is %s, expected a finite number" % (key, node["name"], figure))
        text = json.dumps(graph)
        if text not in self.graphs:
            file = "graph_%d.json" % len(self.graphs)
            self.write(file, text)
            self.graphs[text] = file
        self.runs.append({"workload.graph": self.graphs[text]})
        self.write_recipe()

    def faults(self, links):
        """Faulty links that the run puts in place of those of the hardware file, for the graph it has just converted."""
        if links is None or not self.names_faults or not self.runs:
            return
        self.runs[-1] = {**self.runs[-1], "hw.network.faulty_links": [list(link) for link in links]}
        self.write_recipe()

    def write_recipe(self):
        self.write("recipe.json", json.dumps(self.recipe(), indent=2))

    def recipe(self):
        # A graph that is run again, with the same faulty links, is one case.
        distinct = list({json.dumps(run): run for run in self.runs}.values())
        first = distinct[0]["workload.graph"]
        return {
            "recipe": 1,
            "name": self.name,
            "hw": "hardware.yaml",
            "workload": {"kind": "graph", "graph": first},
            "engine": {"dialect": "deepflow"},
            "sweep": {"cases": [{"name": "run_%d" % at, **run} for at, run in enumerate(distinct)]},
        }

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path + ".tmp", "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(path + ".tmp", path)


def stand_between(executor, export):
    """Lets the run's converter tell the export what it is given."""
    names = [name for name in CONVERTERS if callable(getattr(executor, name, None))]
    if not names:
        raise ExportError("%s has none of %s; this checkout is of another version" % (EXECUTOR, ", ".join(CONVERTERS)))
    for name in names:
        wrap(executor, name, lambda root, replicas, *_, **__: export.graph(root, replicas), ("graph_root", "dp_size"))
    if callable(getattr(executor, CONFIGURATION, None)):
        wrap(executor, CONFIGURATION, lambda *_, faulty_links_override=None, **__: export.faults(faulty_links_override), ())


def wrap(module, name, tell, leading):
    """Replaces a function of a module by one that tells its arguments first; those in `leading` by position."""
    original = getattr(module, name)

    def wrapped(*args, **kwargs):
        missing = leading[len(args):]
        tell(*args, *(kwargs[key] for key in missing), **{k: v for k, v in kwargs.items() if k not in missing})
        return original(*args, **kwargs)

    setattr(module, name, wrapped)


def hardware_of(command):
    """The hardware file that a command line names."""
    for at, word in enumerate(command):
        option, equals, value = word.partition("=")
        if option == "--hardware_config" and (equals or at + 1 < len(command)):
            return value if equals else command[at + 1]
    raise ExportError("the command has no --hardware_config FILE; name the file with --hardware")


def run(args):
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise ExportError("no command; give the script to run and its arguments after --")
    checkout = os.path.abspath(args.checkout)
    script = command[0] if os.path.isabs(command[0]) else os.path.join(checkout, command[0])
    if not os.path.isfile(script):
        raise ExportError("%s is not a file" % script)
    export = Export(os.path.abspath(args.out), args.name, args.hardware or hardware_of(command))
    sys.path.insert(0, checkout)
    try:
        executor = importlib.import_module(EXECUTOR)
    except ImportError as error:
        raise ExportError("cannot import %s from %s: %s" % (EXECUTOR, checkout, error)) from error
    stand_between(executor, export)
    sys.argv = [script] + command[1:]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        # How most scripts end. What they say of failures is for the caller; a run without graphs is said below.
        if export.runs or end.code not in (None, 0):
            raise
    finally:
        if export.runs:
            count = len(export.graphs)
            print("%d graph%s in %s" % (count, "" if count == 1 else "s", export.directory), file=sys.stderr)
    if not export.runs:
        raise ExportError("the run converted no graph; set execution_backend.model: astra and a mode of full_astrasim")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", required=True, help="directory of DeepFlow or RAPID-LLM")
    parser.add_argument("--out", required=True, help="directory to write to")
    parser.add_argument("--name", default="deepflow", help="name of the recipe (default: deepflow)")
    parser.add_argument("--hardware", help="the hardware file, where the command does not name it with --hardware_config")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the script to run and its arguments, after --")
    try:
        run(parser.parse_args())
    except ExportError as error:
        sys.exit("error: %s" % error)


if __name__ == "__main__":
    main()
