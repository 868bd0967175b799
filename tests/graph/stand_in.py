"""Objects with the attributes of DeepFlow's classes, made from the neutral form of a graph, and described by the exporter.

Reads a JSON list of neutral graphs, writes the list of their astra-graph documents.
"""

import importlib.util
import json
import sys


class Thing:
    def __init__(self, fields):
        self.__dict__.update(fields)
        self.parents, self.children = [], []


def objects(graph):
    for neutral in graph["objects"]:
        fields = {key: value for key, value in neutral.items() if key not in ("i", "cls", "parents", "children", "unreachable")}
        if "interconnect" in fields:
            fields["comm_interconnect_type"] = fields.pop("interconnect")
        if isinstance(fields.get("duration"), list):
            fields["duration"] = tuple(fields["duration"])
        yield Thing(fields)


def root(graph):
    things = list(objects(graph))
    for thing, neutral in zip(things, graph["objects"]):
        thing.parents = [things[at] for at in neutral["parents"]]
        thing.children = [things[at] for at in neutral["children"]]
    roots = [things[at] for at in graph["roots"]]
    if len(roots) > 1:
        return roots
    roots[0]._astrasim_rank_layout = graph["rank_layout"]
    return roots[0]


def main():
    spec = importlib.util.spec_from_file_location("export_graph", sys.argv[1])
    exporter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(exporter)
    graphs = json.load(sys.stdin)
    json.dump([exporter.describe(root(graph), graph["dp_size"]) for graph in graphs], sys.stdout)


main()
