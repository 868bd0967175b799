"""Simulates for DeepFlow and RAPID-LLM with astra-store, in the place of their module `astrasim_lib.integration`.

    import astrasim_store
    astrasim_store.install()     # before the first import of astrasim_lib

or import the functions from here instead of from there. They take the same arguments and give the same results, except
that the times of ranks are in the order of ranks (the original gives them in the order in which ranks finish) and that a
result is known again only when everything it depends on is the same. Results are kept in the store of astra-store:
$ASTRA_STORE, else $ASTRA_CACHE_DIR, else the nearest `.astra-store`; `cache_path` is not used. docs/interop.md says more.

Needs Python 3.9, the program `astra-store` ($ASTRA_STORE_BINARY, else the one on the PATH), and nothing else.
"""

import atexit
import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
import warnings

ASTRA_DEBUG = False

# The variable that says whose rules count, and what holds without: the simulator that the library ships.
_DIALECT = "ASTRA_STORE_DIALECT"
_DEFAULT_DIALECT = "deepflow"

_CACHE_MODES = ("NO_CACHE", "CACHE_READONLY", "CACHE_READWRITE")
_CACHE_MODE_VARIABLES = ("RAPID_ASTRA_CACHE_MODE", "DEEPFLOW_ASTRA_CACHE_MODE")

# The library takes ASTRA_CACHE_DIR out of the environment while it simulates a graph.
_CACHE_DIR_AT_IMPORT = os.environ.get("ASTRA_CACHE_DIR")

_COLLECTIVES = ("all_gather", "allreduce", "all_reduce", "reduce_scatter", "all_to_all", "alltoall")
_PAIR = "pipeline"
_SYNTHETIC = "synthetic2"

# What this module has written into a directory of artifacts, so that the next run can remove it again.
_RECORD = ".astrasim_store.json"
_VISUALISED_RANKS = 20

_MOST_RANKS = (1 << 32) - 1
_MOST_BYTES = (1 << 63) - 1
# What a system file takes.
_MOST_OF_OPTION = (1 << 31) - 1


class AstraStoreError(RuntimeError):
    """What astra-store says is wrong."""


# ---- The calls of the original -------------------------------------------------------------------------------------


def run_cache_astrasim(
    hw_obj,
    comm,
    npus_count,
    size_bytes,
    astra_config_dir="./astra_cache",
    cache_path="./astra_cache/cache.json",
    manifest_json_path=None,
    workload_prefix=None,
    comm_group_json=None,
    axes_filter=None,
    transform_2d_to_1d=False,
    files=None,
    result_record_path=None,
):
    """Seconds by rank and their maximum for a collective, a transfer (`pipeline`) or the traces of a graph.

    `cache_path` is not used, and the newer library's record of results (`result_record_path`) is not written: the store has them.
    """
    if isinstance(hw_obj, (str, os.PathLike)):
        raise TypeError("run_cache_astrasim expects a parsed HWConfig object, not a path")
    comm = str(comm).lower()
    npus_count = _count("npus_count", npus_count, _MOST_RANKS)
    size_bytes = _count("size_bytes", size_bytes, _MOST_BYTES)
    document = _hardware(hw_obj)
    part = _part(npus_count, axes_filter, transform_2d_to_1d)
    if not workload_prefix and manifest_json_path:
        workload_prefix = os.path.splitext(manifest_json_path)[0]
    if workload_prefix is None and comm != _PAIR and comm not in _COLLECTIVES:
        raise ValueError(f"Unsupported comm type: {comm}")
    if _persists() or _skips_execution():
        artifacts = _Artifacts(astra_config_dir)
        artifacts.write(document, part, comm, size_bytes, workload_prefix, files)
        if _skips_execution():
            print(f"[AstraSim] execution is skipped; the artifacts are in {astra_config_dir}")
            raise SystemExit(0)
    if workload_prefix is None:
        workload = {"size_bytes": size_bytes}
        workload.update({"kind": "transfer"} if comm == _PAIR else {"kind": "collective", "collective": comm})
        request = {"do": "point", "hardware": document, "workload": workload, **part}
    elif files:
        request = _simulation(workload_prefix, files["system_json"], files["network_yaml"], None, comm_group_json)
    else:
        workload = {"kind": "et", "traces": os.path.abspath(workload_prefix)}
        if comm_group_json and os.path.exists(comm_group_json):
            workload["comm_groups"] = os.path.abspath(comm_group_json)
        request = {"do": "point", "hardware": document, "workload": workload, **part}
    answer = _ask(request)
    seconds, longest = _seconds(answer)
    if comm == "graph" and answer["hit"]:
        print(f"[AstraSim] Cache HIT: comm={comm}, npus={npus_count}, size={size_bytes}, total={longest:.6f}s")
    return seconds, longest


def run_astrasim_analytical(
    workload_prefix,
    system_json,
    network_yaml,
    remote_memory_json=None,
    comm_group_json=None,
    binary_path=None,
):
    """Seconds by rank and their maximum for existing files; with `binary_path` that simulator is run instead."""
    if not workload_prefix:
        raise ValueError("workload_prefix is required for analytical AstraSim runs")
    if binary_path:
        return _run_binary(
            binary_path, workload_prefix, system_json, network_yaml, remote_memory_json, comm_group_json
        )
    return _seconds(
        _ask(_simulation(workload_prefix, system_json, network_yaml, remote_memory_json, comm_group_json))
    )


def generate_workload_et(comm, npus_count, size_bytes, astra_config_dir="./astra_cache"):
    """Writes the traces of a collective or a transfer under the names the library knows, and gives their prefix."""
    lower = comm.lower()
    npus_count = _count("npus_count", npus_count, _MOST_RANKS)
    size_bytes = _count("size_bytes", size_bytes, _MOST_BYTES)
    prefix = _workload_prefix(lower, npus_count, size_bytes, astra_config_dir)
    if lower == _PAIR:
        content = {"kind": "transfer", "size_bytes": size_bytes}
    elif lower in _COLLECTIVES:
        name = os.path.basename(prefix)
        content = {"kind": "collective", "collective": lower, "name": name, "size_bytes": size_bytes}
    else:
        raise ValueError(f"Unsupported comm type: {comm}")
    _write_traces(prefix, npus_count, content)
    return prefix


def generate_concurrent_collectives_et(npus_count, collectives, prefix_path):
    """Writes traces in which collectives `(name, bytes, delay in ns)` start after delays, and gives their prefix."""
    items = []
    for position, (name, size_bytes, delay_ns) in enumerate(collectives):
        if name not in _COLLECTIVES:
            raise ValueError(f"Unsupported collective: {name}")
        size_bytes = _count(f"collectives[{position}]: the size", size_bytes, _MOST_BYTES)
        item = {"collective": name, "name": name, "size_bytes": size_bytes}
        # What is not a number is not at most 0 either.
        if not delay_ns <= 0:
            if not isinstance(delay_ns, int):
                raise TypeError(f"collectives[{position}]: the delay is {delay_ns!r}, expected a whole number of ns")
            item["delay_us"] = delay_ns // 1000
        items.append(item)
    _write_traces(prefix_path, npus_count, {"kind": "sequence", "items": items})
    return prefix_path


def generate_astrasim_configs_from_hw(
    hw_obj,
    out_dir="./astra_cache",
    npus_count=None,
    *,
    axes_filter=None,
    transform_2d_to_1d=False,
    faulty_links_override=None,
    ephemeral_outputs=False,
    preferred_axes_for_synthetic=None,
):
    """Writes network and system file of a run on a hardware, and gives their paths and what they describe."""
    if npus_count is None:
        raise ValueError("npus_count must be provided explicitly when generating AstraSim configs.")
    document = _hardware(hw_obj, faulty_links_override)
    part = _part(npus_count, axes_filter, transform_2d_to_1d, preferred_axes_for_synthetic)
    return _write_configs(document, part, out_dir, uuid.uuid4().hex if ephemeral_outputs else None)


def get_remote_memory_path():
    """A remote memory configuration without remote memory."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "no_memory_expansion.json")


def ensure_cache_file_exists(cache_path="./astra_cache/cache.json"):
    """Nothing to do: the store is made when it is needed."""


def install():
    """Stands in for `astrasim_lib.integration` from here on."""
    sys.modules["astrasim_lib.integration"] = sys.modules[__name__]


__all__ = [
    "ASTRA_DEBUG",
    "AstraStoreError",
    "ensure_cache_file_exists",
    "generate_astrasim_configs_from_hw",
    "generate_concurrent_collectives_et",
    "generate_workload_et",
    "get_remote_memory_path",
    "install",
    "run_astrasim_analytical",
    "run_cache_astrasim",
]


# ---- From the library's objects to requests ------------------------------------------------------------------------


def _hardware(hw_obj, faulty_links=None):
    """What a hardware YAML says of the network, from the object that the library makes of it."""
    layout = getattr(hw_obj, "network_layout", None)
    dimensions = list(getattr(layout, "dimensions", None) or ())
    if not dimensions:
        raise ValueError("Hardware config is missing network dimensions required for AstraSim integration.")
    if faulty_links is None:
        faulty_links = getattr(layout, "faulty_links", None) or ()
    network = {"dimensions": [_dimension(dimension) for dimension in dimensions]}
    if faulty_links:
        network["faulty_links"] = [_faulty_link(position, link) for position, link in enumerate(faulty_links)]
    document = {"parallelism": _degrees(hw_obj), "network": network}
    astra = getattr(getattr(hw_obj, "execution_backend", None), "astra", None)
    if astra:
        document["execution_backend"] = {"model": "astra", "astra": _backend(astra, hw_obj)}
    return document


def _faulty_link(position, link):
    name = f"faulty_links[{position}]"
    try:
        source, destination, weight = link
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {link!r}, expected two ranks and a weight") from None
    try:
        share = float(weight)
    except (TypeError, ValueError, OverflowError):
        share = math.nan
    if not 0 <= share <= 1:
        raise ValueError(f"{name}: the weight is {weight!r}, expected a number from 0 (dead) to 1")
    ranks = [_count(f"{name}: a rank", rank, _MOST_RANKS) for rank in (source, destination)]
    return [*ranks, share]


def _dimension(dimension):
    bandwidth = float(getattr(dimension, "effective_bandwidth", None) or dimension.bandwidth)
    latency = float(dimension.latency)
    if not (0 < bandwidth < math.inf and 0 < latency < math.inf):
        raise ValueError("Invalid intra-node IB/LL computed from HW config")
    size = getattr(dimension, "size_2d", None)
    described = {
        "size": [_count("size_2d", side, _MOST_RANKS) for side in size] if size else "auto",
        "topology": {"type": str(dimension.topology_type), "bandwidth": bandwidth, "latency": latency},
        "parallelisms": [_axis(axis) for axis in getattr(dimension, "parallelisms", None) or ()],
    }
    name = getattr(dimension, "id", None) or getattr(dimension, "label", None)
    if name:
        described["id"] = str(name)
    overrides = getattr(dimension, "collective_override", None)
    if overrides:
        described["collective_override"] = dict(overrides)
    return described


def _axis(axis):
    """The newer name of the pipeline axis is `pp`."""
    axis = str(axis).strip().lower()
    return "lp" if axis == "pp" else axis


def _degrees(hw_obj):
    """The degrees of the axes: of the run that is under way where there is one, else those of the hardware file."""
    schedule = getattr(hw_obj, "sch_config", None)
    active = getattr(hw_obj, "active_parallelism", None) or {}
    training = getattr(schedule, "train", None)
    degrees = {}
    for axis, names in (("tp", ("tp",)), ("cp", ("cp",)), ("lp", ("lp", "pp")), ("dp", ("dp",)), ("ep", ("ep",))):
        found = [active[name] for name in names if name in active]
        found += [getattr(of, name) for of in (schedule, training) for name in names if hasattr(of, name)]
        given = found[0] if found and found[0] is not None else 1
        degrees[axis] = _count(f"the degree of {axis}", given, _MOST_RANKS)
    if degrees.pop("ep") > 1:
        raise ValueError("expert parallelism (ep > 1) is not simulated by astra-store")
    return degrees


def _backend(astra, hw_obj):
    backend = {}
    chosen = getattr(astra, "collectives", None)
    if chosen is not None:
        names = ("all_gather", "all_reduce", "reduce_scatter", "all_to_all")
        backend["collectives"] = {name: str(getattr(chosen, name, None) or "auto") for name in names}
    options = getattr(astra, "sys_options", None)
    # The newer library, which knows its pipeline axis as `pp`, has other defaults.
    usual = 4 if hasattr(getattr(hw_obj, "sch_config", None), "pp") else None
    found = {
        "endpoint_delay": _option(options, "endpoint_delay"),
        "active_chunks_per_dimension": _option(options, "active_chunks_per_dimension", usual),
        "preferred_dataset_splits": _option(options, "preferred_dataset_splits", usual),
    }
    found = {name: value for name, value in found.items() if value is not None}
    if found:
        backend["sys_options"] = found
    return backend


def _count(name, value, most):
    """A whole number; a fraction is cut off, as the library does."""
    try:
        count = int(value)
    except (TypeError, ValueError, OverflowError):
        count = -1
    if not 0 <= count <= most:
        raise ValueError(f"{name} is {value!r}, expected a whole number from 0 to {most}")
    return count


def _option(options, name, default=None):
    value = getattr(options, name, None)
    if isinstance(value, (list, tuple)):
        value = value[0] if value else 1
    return default if value is None else _count(name, value, _MOST_OF_OPTION)


def _part(npus_count, axes_filter, flatten, preferred_axes=None):
    """Which part of the hardware is used."""
    part = {"ranks": _count("npus_count", npus_count, _MOST_RANKS)}
    axes = [_axis(axis) for axis in axes_filter or ()]
    if axes and set(axes) == {_SYNTHETIC}:
        part["synthetic_pair"] = [_axis(axis) for axis in preferred_axes or () if str(axis).strip()]
    elif axes:
        part["axes"] = axes
    if flatten:
        part["flatten_2d"] = True
    return part


def _simulation(workload_prefix, system_json, network_yaml, remote_memory_json, comm_group_json):
    request = {
        "do": "simulate",
        "workload": os.path.abspath(workload_prefix),
        "system": os.path.abspath(system_json),
        "network": os.path.abspath(network_yaml),
    }
    if remote_memory_json:
        request["remote_memory"] = os.path.abspath(remote_memory_json)
    if comm_group_json and os.path.exists(comm_group_json):
        request["comm_groups"] = os.path.abspath(comm_group_json)
    return request


def _seconds(answer):
    seconds = [cycles * 1e-9 for cycles in answer["finish_ns"]]
    return seconds, max(seconds, default=0.0)


def _run_binary(binary, workload_prefix, system_json, network_yaml, remote_memory_json, comm_group_json):
    if not os.path.exists(binary):
        raise FileNotFoundError(f"AstraSim binary not found at {binary}")
    command = [
        binary,
        f"--workload-configuration={workload_prefix}",
        f"--system-configuration={system_json}",
        f"--network-configuration={network_yaml}",
    ]
    if remote_memory_json:
        command.append(f"--remote-memory-configuration={remote_memory_json}")
    if comm_group_json and os.path.exists(comm_group_json):
        command.append(f"--comm-group-configuration={comm_group_json}")
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if ended.returncode != 0:
        raise RuntimeError(f"AstraSim execution failed with code {ended.returncode}:\n{ended.stdout}")
    times = re.findall(r"sys\[(\d+)\],\s*Wall time:\s*(\d+)", ended.stdout)
    by_rank = {int(rank): int(cycles) for rank, cycles in times}
    # It ends with 0 also when ranks wait for each other for ever.
    ranks = max(_ranks_of(network_yaml), max(by_rank, default=-1) + 1)
    missing = [rank for rank in range(ranks) if not by_rank.get(rank)]
    if missing or not ranks:
        named = ", ".join(map(str, missing[:8])) + (f" and {len(missing) - 8} more" if missing[8:] else "")
        raise RuntimeError(f"AstraSim gave no time above 0 of ranks {named or 'at all'}:\n{ended.stdout}")
    return _seconds({"finish_ns": [by_rank[rank] for rank in range(ranks)]})


def _ranks_of(network_yaml):
    """How many ranks a network file describes; 0 where it does not list them."""
    with open(network_yaml, encoding="utf-8") as file:
        text = re.sub(r"#.*", "", file.read())
    listed = re.search(r"^npus_count:\s*(\[[^\]]*\]|(?:\s*-\s*\d+)+)", text, re.MULTILINE)
    return math.prod(int(number) for number in re.findall(r"\d+", listed[1])) if listed else 0


# ---- Files ---------------------------------------------------------------------------------------------------------


def _size_label(size_bytes):
    """The rounded size in the names of the library. Sizes share labels, so nothing here is looked up by one."""
    for unit, bits in (("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)):
        if size_bytes >> bits:
            return f"{size_bytes / (1 << bits):.2f}{unit}"
    return f"{size_bytes / 1024:.4f}KB"


def _workload_prefix(comm, npus_count, size_bytes, directory):
    label = _size_label(size_bytes)
    return os.path.join(directory, "workload", comm, f"{npus_count}npus_{label}", f"{comm}_{label}")


def _write_traces(prefix, npus_count, content):
    ranks = _count("npus_count", npus_count, _MOST_RANKS)
    request = {"do": "traces", "prefix": os.path.abspath(prefix), "ranks": ranks, "content": content}
    return _ask(request, engine=False)["files"]


def _write_configs(document, part, out_dir, unique=None):
    request = {"do": "configs", "hardware": document, "out": os.path.abspath(out_dir), **part}
    if unique:
        request["unique"] = unique
    written = _ask(request)
    named = {"network_yaml": written["network"], "system_json": written["system"]}
    files = {key: os.path.join(out_dir, os.path.basename(path)) for key, path in named.items()}
    return {**files, "topology_list": written["topology"], "npus_per_dim": written["npus"]}


def _is_set(name):
    """Whether a switch of the library, in the old spelling or the new, is on."""
    values = [os.environ.get(f"{prefix}_{name}", "") for prefix in ("RAPID", "DEEPFLOW")]
    return any(value.strip().lower() not in ("", "0", "false", "no") for value in values)


def _persists():
    return _is_set("PERSIST_ASTRASIM_ARTIFACTS")


def _skips_execution():
    # As in the library, any value that is not empty counts.
    return bool(os.environ.get("RAPID_ASTRA_SKIP_EXEC") or os.environ.get("DEEPFLOW_ASTRA_SKIP_EXEC"))


class _Artifacts:
    """A directory in which the files of runs are left to be looked at.

    What an earlier process of this module has left there is removed first, unless somebody has changed it since. Files that
    this module has not written are neither removed nor replaced.
    """

    _begun = set()

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        self.written = self._read_record()
        if self.directory not in self._begun:
            self._begun.add(self.directory)
            self._clean()

    def write(self, document, part, comm, size_bytes, workload_prefix, files):
        """Leaves the configuration, if it is not given, the traces, if they are not given, and pictures of them."""
        # Made beside the directory, so that it never holds half of them.
        os.makedirs(self.directory, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".astrasim_store_", dir=self.directory) as made:
            if not files:
                _write_configs(document, part, made)
            if workload_prefix is None:
                generate_workload_et(comm, part["ranks"], size_bytes, made)
            if _is_set("PERSIST_ARTIFACT_VIZ"):
                self._visualise(made, workload_prefix, part["ranks"])
            self._take(made)
        self._write_record()

    def _take(self, made):
        for found, _, names in os.walk(made):
            for name in names:
                source = os.path.join(found, name)
                relative = os.path.relpath(source, made)
                target = os.path.join(self.directory, relative)
                if self._is_others(relative):
                    warnings.warn(f"{target} was not written by this module and is left as it is", stacklevel=4)
                    continue
                os.makedirs(os.path.dirname(target), exist_ok=True)
                self.written[relative] = _digest(source)
                os.replace(source, target)

    def _is_others(self, relative):
        digest = _digest(os.path.join(self.directory, relative))
        return digest is not None and self.written.get(relative) != digest

    def _clean(self):
        for relative in list(self.written):
            if not self._is_others(relative):
                path = os.path.join(self.directory, relative)
                if os.path.exists(path):
                    os.remove(path)
                self._remove_empty(os.path.dirname(path))
            del self.written[relative]

    def _remove_empty(self, directory):
        while directory != self.directory and directory.startswith(self.directory):
            try:
                os.rmdir(directory)
            except OSError:
                return
            directory = os.path.dirname(directory)

    def _visualise(self, made, workload_prefix, ranks):
        """Text and a picture of the first ranks' traces, beside those that are made here and in this directory of others."""
        if workload_prefix is None:
            found = [os.path.join(at, name) for at, _, names in os.walk(made) for name in names]
            traces = sorted(name for name in found if name.endswith(".et"))
        else:
            traces = [f"{workload_prefix}.{rank}.et" for rank in range(ranks)]
        for trace in sorted(traces, key=_rank_of)[:_VISUALISED_RANKS]:
            beside = trace if workload_prefix is None else os.path.join(made, os.path.basename(trace))
            prefix, rank = trace[: -len(".et")].rsplit(".", 1)
            for ending, arguments in ((".txt", ["dump", trace]), (".svg", ["svg", prefix, "--rank", rank])):
                drawn = subprocess.run([_program(), "et", *arguments], stdout=subprocess.PIPE, check=True)
                with open(beside + ending, "wb") as out:
                    out.write(drawn.stdout)

    def _read_record(self):
        try:
            with open(os.path.join(self.directory, _RECORD), encoding="utf-8") as file:
                record = json.load(file)
        except (OSError, ValueError):
            return {}
        return {str(name): digest for name, digest in record.items()} if isinstance(record, dict) else {}

    def _write_record(self):
        with tempfile.NamedTemporaryFile("w", dir=self.directory, delete=False, encoding="utf-8") as out:
            json.dump(self.written, out, indent=2, sort_keys=True)
        os.replace(out.name, os.path.join(self.directory, _RECORD))


def _rank_of(trace):
    return int(trace.rsplit(".", 2)[1])


def _digest(path):
    """The digest of a file; None where there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None


# ---- The process that answers --------------------------------------------------------------------------------------


def _cache_mode():
    said = {name: os.environ[name] for name in _CACHE_MODE_VARIABLES if os.environ.get(name)}
    modes = {text.strip().upper() for text in said.values()}
    for name, text in said.items():
        if text.strip().upper() not in _CACHE_MODES:
            raise ValueError(f"{name}: unknown cache mode {text!r}, expected one of {', '.join(_CACHE_MODES)}")
    if len(modes) > 1:
        raise ValueError(f"{' and '.join(said)} say different cache modes; unset one of them")
    return modes.pop() if modes else "CACHE_READWRITE"


def _program():
    named = os.environ.get("ASTRA_STORE_BINARY")
    program = named if named and os.path.exists(named) else shutil.which(named or "astra-store")
    if not program:
        raise FileNotFoundError(
            f"{named or 'astra-store'} not found; install it, or name it with ASTRA_STORE_BINARY"
        )
    return program


class _Server:
    """One `astra-store serve`, answering one request after the other."""

    def __init__(self, program, mode, environment):
        self.lock = threading.Lock()
        self.unread = b""
        # Without buffers, whose locks and contents a forked process would inherit from threads that it does not have.
        # A session of its own: Ctrl-C is for the program that asks, and ends this process by the end of its input.
        self.process = subprocess.Popen(
            [program, "serve", "--stdio", "--cache", mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **environment},
            start_new_session=True,
        )

    def ask(self, line):
        with self.lock:
            try:
                with contextlib.suppress(BrokenPipeError):
                    self._write(line)
                # Of a program that ended without listening this is what it said.
                return self._read_line()
            except ValueError:
                return b""
            except BaseException:
                # Interrupted, as by Ctrl-C: what is still to come would be taken for the answer to the next request.
                self.process.kill()
                self._close_pipes()
                raise

    def _write(self, line):
        rest = memoryview(line)
        while rest:
            rest = rest[self.process.stdin.write(rest) :]

    def _read_line(self):
        """A line with its newline; less at the end of the output."""
        parts = [self.unread]
        while b"\n" not in parts[-1]:
            part = self.process.stdout.read(1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
        line, newline, self.unread = b"".join(parts).partition(b"\n")
        return line + newline

    def close(self):
        """Ends the process by the end of its input; gives its exit code."""
        self._close_pipes()
        return self.process.wait()

    def forget(self):
        """Lets go of a process that belongs to the parent of this one, which waits for its end."""
        self._close_pipes()
        self.process.returncode = 0

    def _close_pipes(self):
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                pass


_servers = {}
_servers_lock = threading.Lock()


def _ask(request, engine=True):
    """The answer to a request. What is wrong is a ValueError if it is the request, else an AstraStoreError."""
    if engine:
        request["engine"] = {"dialect": os.environ.get(_DIALECT) or _DEFAULT_DIALECT}
    line = json.dumps(request, allow_nan=False).encode() + b"\n"
    # A process that was ended by somebody is started again, once.
    for _ in range(2):
        key, server = _server()
        answer = server.ask(line)
        if answer.endswith(b"\n"):
            break
        code = server.close()
        with _servers_lock:
            if _servers.get(key) is server:
                del _servers[key]
    else:
        raise AstraStoreError(f"`astra-store serve` ended with code {code}; what it said is on stderr")
    try:
        answer = json.loads(answer)
    except ValueError:
        raise AstraStoreError(f"{_program()} is not astra-store, or another version: it answers {answer[:80]!r}") from None
    error = answer.get("error")
    if error is None:
        for notice in answer["ok"].get("notices", ()):
            warnings.warn(notice, stacklevel=3)
        return answer["ok"]
    text = error["message"] + (f"\n{error['hint']}" if error.get("hint") else "")
    raise (ValueError if error["exit_code"] in (2, 3) else AstraStoreError)(text)


def _server():
    """The process for the store and the mode that the environment asks for now."""
    environment = {}
    if not (os.environ.get("ASTRA_STORE") or os.environ.get("ASTRA_CACHE_DIR")) and _CACHE_DIR_AT_IMPORT:
        environment["ASTRA_CACHE_DIR"] = _CACHE_DIR_AT_IMPORT
    place = [os.environ.get("ASTRA_STORE"), os.environ.get("ASTRA_CACHE_DIR") or _CACHE_DIR_AT_IMPORT]
    key = (os.environ.get("ASTRA_STORE_BINARY"), os.getcwd(), _cache_mode(), *place)
    with _servers_lock:
        server = _servers.get(key)
        if server is None:
            server = _servers[key] = _Server(_program(), key[2], environment)
    return key, server


def _close_servers():
    while _servers:
        _servers.popitem()[1].close()


def _forget_servers():
    global _servers_lock
    _servers_lock = threading.Lock()
    while _servers:
        _servers.popitem()[1].forget()


atexit.register(_close_servers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_servers)
