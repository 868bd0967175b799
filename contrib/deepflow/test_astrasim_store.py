"""The promises of astrasim_store, tried on the program: python3 -m unittest test_astrasim_store

$ASTRA_STORE_BINARY names the program.
"""

import contextlib
import gzip
import io
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings
from types import SimpleNamespace

import astrasim_store

MIB = 1 << 20


def dimension(**changes):
    values = {
        "id": "ring",
        "label": "ring",
        "size": 4,
        "topology_type": "Ring",
        "bandwidth": 50.0 * (1 << 30),
        "util": 1.0,
        "latency": 500e-9,
        "size_2d": None,
        "collective_override": {},
        "parallelisms": ("tp",),
    }
    values.update(changes)
    values.setdefault("effective_bandwidth", values["bandwidth"] * values["util"])
    return SimpleNamespace(**values)


def hardware(*dimensions, sys_options=None, **degrees):
    """Four ranks in a ring of 50 GiB/s and 500 ns, with 4 splits, unless something else is said."""
    options = {"endpoint_delay": None, "active_chunks_per_dimension": None, "preferred_dataset_splits": 4}
    options.update(sys_options or {})
    collectives = SimpleNamespace(all_gather="auto", all_reduce="auto", reduce_scatter="auto", all_to_all="auto")
    astra = SimpleNamespace(collectives=collectives, sys_options=SimpleNamespace(**options))
    return SimpleNamespace(
        sch_config=SimpleNamespace(**{"tp": 4, "cp": 1, "lp": 1, "dp": 1, **degrees}),
        network_layout=SimpleNamespace(dimensions=dimensions or (dimension(),), faulty_links=()),
        execution_backend=SimpleNamespace(astra=astra),
    )


def all_reduce(size=MIB, hw=None, **arguments):
    return astrasim_store.run_cache_astrasim(hw or hardware(), "all_reduce", 4, size, **arguments)


def listing(directory):
    """Every path with its time of change and its bytes."""
    found = {}
    for at, directories, names in os.walk(directory):
        for name in directories + names:
            path = os.path.join(at, name)
            content = b""
            if name in names:
                with open(path, "rb") as file:
                    content = file.read()
            found[os.path.relpath(path, directory)] = (os.stat(path).st_mtime_ns, content)
    return found


def insert(first, count):
    """What a process of the concurrency tests does."""
    for size in range(first, first + count):
        all_reduce(size * 1024)


class Case(unittest.TestCase):
    """A fresh directory to be in, with the store `store`."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        self.addCleanup(astrasim_store._close_servers)
        os.chdir(directory.name)
        before = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before)))
        for name in list(os.environ):
            if name.startswith(("RAPID_", "DEEPFLOW_", "ASTRA_")) and name != "ASTRA_STORE_BINARY":
                del os.environ[name]
        os.environ["ASTRA_STORE"] = os.path.abspath("store")

    def command(self, *arguments):
        ended = subprocess.run([astrasim_store._program(), *arguments], stdout=subprocess.PIPE, check=True)
        return json.loads(ended.stdout)

    def runs(self):
        """How many simulations the store holds."""
        return self.command("stats", "--json")["actions"]


class Results(Case):
    def test_times_are_seconds_by_rank_with_their_maximum(self):
        for dialect, cycles in ((None, 27_640), ("astra-sim", 43_000)):
            if dialect:
                os.environ["ASTRA_STORE_DIALECT"] = dialect
            seconds, longest = all_reduce()
            self.assertEqual((seconds, longest), ([cycles * 1e-9] * 4, cycles * 1e-9))
            self.assertEqual(all_reduce(), (seconds, longest))
        self.assertEqual(self.runs(), 2)

    def test_what_counts_for_the_result_is_told_apart(self):
        results = [
            all_reduce(),
            all_reduce(MIB + 1),
            all_reduce(hw=hardware(dimension(latency=600e-9))),
            all_reduce(hw=hardware(dimension(collective_override={"all-reduce": "direct"}))),
            all_reduce(hw=hardware(dimension(util=0.5))),
            all_reduce(hw=hardware(sys_options={"endpoint_delay": 77})),
        ]
        self.assertEqual(len({longest for _, longest in results}), len(results))
        self.assertEqual(self.runs(), len(results))

    def test_every_call_of_the_library_is_understood(self):
        hw = hardware(dimension(), dimension(id="far", parallelisms=("dp",), latency=5e-6, size=2), dp=2)
        near, _ = astrasim_store.run_cache_astrasim(hw, "all_gather", 4, MIB, axes_filter=["tp"])
        far, _ = astrasim_store.run_cache_astrasim(hw, "allreduce", 2, MIB, axes_filter=["DP"])
        both, _ = astrasim_store.run_cache_astrasim(hw, "alltoall", 8, MIB)
        pair, _ = astrasim_store.run_cache_astrasim(hw, "pipeline", 2, MIB, axes_filter=["synthetic2"])
        self.assertEqual([len(times) for times in (near, far, both, pair)], [4, 2, 8, 2])
        torus = hardware(dimension(topology_type="Torus2D", size=16, size_2d=(4, 4)), tp=16)
        flat = astrasim_store.run_cache_astrasim(torus, "all_reduce", 16, MIB, transform_2d_to_1d=True)
        square = astrasim_store.run_cache_astrasim(torus, "all_reduce", 16, MIB)
        self.assertNotEqual(flat, square)

    def test_the_newer_library_calls_its_pipeline_axis_pp(self):
        newer = hardware(dimension(parallelisms=("pp",)))
        newer.sch_config = SimpleNamespace(tp=1, cp=1, pp=4, train=SimpleNamespace(dp=1, ep=1))
        seconds, _ = astrasim_store.run_cache_astrasim(newer, "all_reduce", 4, MIB, axes_filter=["pp"])
        self.assertEqual(len(seconds), 4)
        newer.sch_config.train.ep = 2
        with self.assertRaisesRegex(ValueError, "expert parallelism"):
            all_reduce(hw=newer)

    def test_what_is_wrong_raises_what_the_library_expects(self):
        for path in ("hw.yaml", pathlib.Path("hw.yaml")):
            with self.assertRaisesRegex(TypeError, "not a path"):
                astrasim_store.run_cache_astrasim(path, "all_reduce", 4, MIB)
        with self.assertRaisesRegex(ValueError, "Unsupported comm type: broadcast"):
            astrasim_store.run_cache_astrasim(hardware(), "broadcast", 4, MIB)
        with self.assertRaisesRegex(ValueError, "Invalid intra-node"):
            all_reduce(hw=hardware(dimension(latency=0.0)))
        with self.assertRaisesRegex(ValueError, "Invalid intra-node"):
            all_reduce(hw=hardware(dimension(bandwidth=float("nan"))))
        with self.assertRaisesRegex(ValueError, "size_bytes is -1, expected"):
            all_reduce(-1)
        with self.assertRaisesRegex(ValueError, "npus_count is -4, expected"):
            astrasim_store.run_cache_astrasim(hardware(), "all_reduce", -4, MIB)
        for count in (float("nan"), float("inf"), "four", None):
            with self.assertRaisesRegex(ValueError, f"^npus_count is {count!r}, expected a whole number from 0 to"):
                astrasim_store.run_cache_astrasim(hardware(), "all_reduce", count, MIB)
            with self.assertRaisesRegex(ValueError, f"^size_bytes is {count!r}, expected a whole number from 0 to"):
                all_reduce(count)
        with self.assertRaisesRegex(ValueError, "^the degree of tp is nan, expected a whole number"):
            all_reduce(hw=hardware(tp=float("nan")))
        with self.assertRaisesRegex(ValueError, "^endpoint_delay is 2147483648, expected .* to 2147483647$"):
            all_reduce(hw=hardware(sys_options={"endpoint_delay": 1 << 31}))
        with self.assertRaisesRegex(ValueError, "5 ranks are no product"):
            astrasim_store.run_cache_astrasim(hardware(), "all_reduce", 5, MIB)
        with self.assertRaisesRegex(ValueError, "did you mean"):
            all_reduce(hw=hardware(dimension(topology_type="Rnig")))
        with self.assertRaisesRegex(ValueError, "workload_prefix is required"):
            astrasim_store.run_astrasim_analytical(None, "s", "n")
        os.environ["ASTRA_STORE_BINARY"] = "/nowhere/astra-store"
        with self.assertRaisesRegex(FileNotFoundError, "ASTRA_STORE_BINARY"):
            all_reduce()
        os.environ["ASTRA_STORE_BINARY"] = shutil.which("echo")
        with self.assertRaisesRegex(astrasim_store.AstraStoreError, "is not astra-store"):
            all_reduce()
        # More than a pipe takes, so that the other program ends before all of the request is written.
        with self.assertRaisesRegex(astrasim_store.AstraStoreError, "is not astra-store"):
            all_reduce(hw=hardware(dimension(topology_type="R" * 10**6)))


class Files(Case):
    def test_written_files_simulate_to_what_the_call_gives(self):
        files = astrasim_store.generate_astrasim_configs_from_hw(hardware(), "out", 4)
        self.assertEqual(files["network_yaml"], "out/network_analytical_4.yml")
        self.assertEqual((files["topology_list"], files["npus_per_dim"]), (["Ring"], [4]))
        prefix = astrasim_store.generate_workload_et("All_Reduce", 4, MIB, "out")
        self.assertEqual(prefix, "out/workload/all_reduce/4npus_1.00MB/all_reduce_1.00MB")
        memory = astrasim_store.get_remote_memory_path()
        direct = astrasim_store.run_astrasim_analytical(prefix, files["system_json"], files["network_yaml"], memory)
        self.assertEqual(direct, all_reduce())
        graph = {"workload_prefix": prefix, "manifest_json_path": "out/manifest.json"}
        with contextlib.redirect_stdout(io.StringIO()) as said:
            first = astrasim_store.run_cache_astrasim(hardware(), "graph", 4, 0, files=files, **graph)
            again = astrasim_store.run_cache_astrasim(hardware(), "graph", 4, 0, **graph)
        self.assertEqual((first, again), (direct, direct))
        self.assertEqual(said.getvalue().count("Cache HIT"), 2)

    def test_times_are_by_rank_where_ranks_finish_in_another_order(self):
        times, _ = astrasim_store.run_cache_astrasim(
            hardware(), "pipeline", 2, MIB, axes_filter=["synthetic2"]
        )
        prefix = astrasim_store.generate_workload_et("pipeline", 2, MIB, "out")
        files = astrasim_store.generate_astrasim_configs_from_hw(hardware(), "out", 2, axes_filter=["synthetic2"])
        # A simulator that prints rank 1 before rank 0, as the original does when it finishes first.
        with open("simulator", "w", encoding="utf-8") as script:
            lines = [f"[statistics] [info] sys[{rank}], Wall time: {round(times[rank] * 1e9)}" for rank in (1, 0)]
            script.write("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        os.chmod("simulator", os.stat("simulator").st_mode | stat.S_IXUSR)
        binary = os.path.abspath("simulator")
        arguments = (prefix, files["system_json"], files["network_yaml"])
        self.assertEqual(astrasim_store.run_astrasim_analytical(*arguments, binary_path=binary)[0], times)
        self.assertEqual(astrasim_store.run_astrasim_analytical(*arguments)[0], times)
        with self.assertRaisesRegex(FileNotFoundError, "binary not found at nowhere"):
            astrasim_store.run_astrasim_analytical(*arguments, binary_path="nowhere")

    def test_a_simulator_that_leaves_out_a_rank_or_its_time_gives_no_result(self):
        prefix = astrasim_store.generate_workload_et("all_reduce", 4, MIB, "out")
        files = astrasim_store.generate_astrasim_configs_from_hw(hardware(), "out", 4)
        with open("listed.yml", "w", encoding="utf-8") as network:
            network.write("topology: [Ring, Ring]\nnpus_count:\n- 2  # of 8\n- 2\n")
        for network_yaml in (files["network_yaml"], "listed.yml"):
            for times, lacks in (((5, 5, 5), "ranks 3:"), ((5, 0, 5, 5), "ranks 1:"), ((), "ranks 0, 1, 2, 3:")):
                lines = [f"sys[{rank}], Wall time: {time}" for rank, time in enumerate(times)]
                with open("simulator", "w", encoding="utf-8") as script:
                    script.write("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
                os.chmod("simulator", 0o755)
                with self.assertRaisesRegex(RuntimeError, f"no time above 0 of {lacks}"):
                    astrasim_store.run_astrasim_analytical(
                        prefix, files["system_json"], network_yaml, binary_path="./simulator"
                    )

    def test_ephemeral_configurations_have_names_of_their_own(self):
        made = [
            astrasim_store.generate_astrasim_configs_from_hw(hardware(), "out", 4, ephemeral_outputs=True)
            for _ in range(2)
        ]
        self.assertEqual(len({files["network_yaml"] for files in made}), 2)
        with self.assertRaisesRegex(ValueError, "npus_count must be provided"):
            astrasim_store.generate_astrasim_configs_from_hw(hardware(), "out")

    def test_faulty_links_are_written(self):
        arguments = {"faulty_links_override": [(0, 1, 0.5)]}
        files = astrasim_store.generate_astrasim_configs_from_hw(hardware(), "out", 4, **arguments)
        with open(files["network_yaml"], encoding="utf-8") as network:
            self.assertIn("faulty_links: [[0, 1, 0.5]]", network.read())

    def test_what_cannot_be_written_names_the_argument(self):
        for npus_count, size, says in (
            (-4, 5, "npus_count is -4, expected a whole number from 0 to 4294967295"),
            (float("nan"), 5, "npus_count is nan, expected"),
            (4, -5, "size_bytes is -5, expected a whole number from 0 to 9223372036854775807"),
            (4, "5 MB", "size_bytes is '5 MB', expected"),
        ):
            with self.assertRaisesRegex(ValueError, f"^{says}"):
                astrasim_store.generate_workload_et("all_reduce", npus_count, size, "out")
        with self.assertRaisesRegex(ValueError, "^npus_count is -4, expected"):
            astrasim_store.generate_astrasim_configs_from_hw(hardware(), "out", -4)
        with self.assertRaisesRegex(ValueError, "^npus_count is -4, expected"):
            astrasim_store.generate_concurrent_collectives_et(-4, [], "out/seq")
        for item, says in (
            (("all_reduce", -1, 0), r"collectives\[1\]: the size is -1, expected a whole number"),
            (("all_reduce", 1, float("nan")), r"collectives\[1\]: the delay is nan, expected a whole number of ns"),
        ):
            with self.assertRaisesRegex((ValueError, TypeError), f"^{says}"):
                astrasim_store.generate_concurrent_collectives_et(4, [("all_reduce", MIB, 0), item], "out/seq")
        for link, says in (
            ((0, 1, float("nan")), r"faulty_links\[0\]: the weight is nan, expected a number from 0 \(dead\) to 1"),
            ((0, 1, "half"), r"faulty_links\[0\]: the weight is 'half', expected a number"),
            ((-1, 1, 0.5), r"faulty_links\[0\]: a rank is -1, expected a whole number"),
            ((0, 1), r"faulty_links\[0\] is \(0, 1\), expected two ranks and a weight"),
        ):
            with self.assertRaisesRegex(ValueError, f"^{says}"):
                astrasim_store.generate_astrasim_configs_from_hw(hardware(), "out", 4, faulty_links_override=[link])
        self.assertFalse(os.path.exists("out"))

    def test_the_traces_are_those_that_the_library_writes(self):
        reference = os.environ.get("REFERENCE_DATA") or self.skipTest("no reference data")
        with gzip.open(os.path.join(reference, "deepflow", "micro", "micro.json.gz")) as file:
            recorded = json.load(file)
        for size, label in recorded["size_label"].items():
            self.assertEqual(astrasim_store._size_label(int(size)), label)
        compared = 0
        for case in recorded["single"]:
            if "files" in case:
                prefix = astrasim_store.generate_workload_et(case["comm"], case["npus"], case["size"], "single")
                self.assertEqual(prefix, os.path.join("single", case["prefix"]))
                compared += self.compare(os.path.dirname(prefix), case["files"])
        for number, case in enumerate(recorded["concurrent"]):
            if "files" in case:
                sequence = [tuple(item) for item in case["sequence"]]
                astrasim_store.generate_concurrent_collectives_et(case["npus"], sequence, f"many/{number}/seq")
                compared += self.compare(f"many/{number}", case["files"])
            else:
                with self.assertRaises((ValueError, TypeError)):
                    astrasim_store.generate_concurrent_collectives_et(
                        case["npus"], [tuple(item) for item in case["sequence"]], f"many/{number}/seq"
                    )
        self.assertGreater(compared, 300)

    def compare(self, directory, expected):
        for name, content in expected.items():
            with open(os.path.join(directory, name), "rb") as file:
                self.assertEqual(file.read().hex(), content["hex"], name)
        return len(expected)


class Modes(Case):
    def test_no_cache_and_readonly_write_nothing(self):
        for spelling in ("RAPID_ASTRA_CACHE_MODE", "DEEPFLOW_ASTRA_CACHE_MODE"):
            os.environ[spelling] = "NO_CACHE"
            all_reduce()
            self.assertEqual(os.listdir("."), [])
            os.environ[spelling] = "CACHE_READONLY"
            all_reduce()
            self.assertEqual(os.listdir("."), [])
            del os.environ[spelling]
        all_reduce()
        astrasim_store._close_servers()
        before = listing(".")
        os.environ["DEEPFLOW_ASTRA_CACHE_MODE"] = "cache_readonly "
        self.assertEqual(all_reduce(), all_reduce())
        all_reduce(2 * MIB)
        astrasim_store._close_servers()
        self.assertEqual(listing("."), before)

    def test_an_unknown_mode_lists_the_three(self):
        os.environ["DEEPFLOW_ASTRA_CACHE_MODE"] = "READONLY"
        with self.assertRaisesRegex(ValueError, "NO_CACHE, CACHE_READONLY, CACHE_READWRITE"):
            all_reduce()

    def test_the_cache_directory_of_the_library_relocates_the_store(self):
        del os.environ["ASTRA_STORE"]
        os.environ["ASTRA_CACHE_DIR"] = os.path.abspath("cache")
        all_reduce()
        self.assertTrue(os.path.isfile("cache/FORMAT"))
        del os.environ["ASTRA_CACHE_DIR"]
        all_reduce()
        self.assertTrue(os.path.isfile(".astra-store/FORMAT"))


class Artifacts(Case):
    def test_artifacts_are_left_where_the_library_leaves_them(self):
        os.environ["DEEPFLOW_PERSIST_ASTRASIM_ARTIFACTS"] = "1"
        os.environ["DEEPFLOW_PERSIST_ARTIFACT_VIZ"] = "yes"
        all_reduce(astra_config_dir="kept")
        trace = "workload/all_reduce/4npus_1.00MB/all_reduce_1.00MB.3.et"
        for name in ("network_analytical_4.yml", "system_native_collectives_4.json", trace):
            self.assertTrue(os.path.isfile(os.path.join("kept", name)), name)
        with open(os.path.join("kept", trace + ".svg"), encoding="utf-8") as picture:
            self.assertIn("<svg", picture.read())
        with open(os.path.join("kept", trace + ".txt"), encoding="utf-8") as text:
            self.assertIn("all_reduce_1.00MB", text.read())
        os.environ["DEEPFLOW_PERSIST_ASTRASIM_ARTIFACTS"] = "no"
        all_reduce(2 * MIB, astra_config_dir="elsewhere")
        self.assertFalse(os.path.exists("elsewhere"))

    def test_a_reused_directory_loses_what_is_stale_and_nothing_of_others(self):
        os.environ["RAPID_PERSIST_ASTRASIM_ARTIFACTS"] = "1"
        all_reduce(astra_config_dir="kept")
        mine = "kept/notes.txt"
        changed = "kept/workload/all_reduce/4npus_1.00MB/all_reduce_1.00MB.0.et"
        for path in (mine, changed):
            with open(path, "w", encoding="utf-8") as file:
                file.write("mine")
        astrasim_store._Artifacts._begun.clear()
        all_reduce(2 * MIB, astra_config_dir="kept")
        found = [os.path.join(at, name) for at, _, names in os.walk("kept") for name in names]
        self.assertEqual(sorted(path for path in found if "1.00MB" in path), [changed])
        self.assertIn("kept/workload/all_reduce/4npus_2.00MB/all_reduce_2.00MB.3.et", found)
        self.assertIn(mine, found)
        astrasim_store._Artifacts._begun.clear()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            all_reduce(astra_config_dir="kept")
        self.assertEqual(len([w for w in said if "left as it is" in str(w.message)]), 1)
        with open(changed, encoding="utf-8") as file:
            self.assertEqual(file.read(), "mine")

    def test_skipping_execution_leaves_the_artifacts_and_ends(self):
        os.environ["DEEPFLOW_ASTRA_SKIP_EXEC"] = "1"
        with contextlib.redirect_stdout(io.StringIO()), self.assertRaises(SystemExit) as ended:
            all_reduce(astra_config_dir="kept")
        self.assertEqual(ended.exception.code, 0)
        self.assertTrue(os.path.isfile("kept/network_analytical_4.yml"))
        self.assertEqual(self.runs(), 0)


class Processes(Case):
    def at_once(self, processes, count):
        context = multiprocessing.get_context("fork")
        parts = [(1 + number * count, count) for number in range(processes)]
        running = [context.Process(target=insert, args=part) for part in parts]
        for process in running:
            process.start()
        for process in running:
            process.join()
        self.assertEqual([process.exitcode for process in running], [0] * processes)
        self.assertEqual(self.runs(), processes * count)

    def test_two_processes_with_200_inserts_each_keep_all(self):
        self.at_once(2, 200)

    def test_four_processes_with_50_inserts_each_keep_all(self):
        all_reduce(1024)
        self.at_once(4, 50)

    def test_threads_share_one_process(self):
        threads = [threading.Thread(target=insert, args=(1 + 10 * number, 10)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(astrasim_store._servers), 1)
        self.assertEqual(self.runs(), 40)

    def test_a_process_that_is_forked_while_a_thread_waits_asks_on_its_own(self):
        all_reduce()
        (server,) = astrasim_store._servers.values()
        server.process.send_signal(signal.SIGSTOP)
        waiting = threading.Thread(target=all_reduce, args=(2 * MIB,))
        waiting.start()
        while not server.lock.locked():
            time.sleep(0.001)
        time.sleep(0.1)
        forked = multiprocessing.get_context("fork").Process(target=all_reduce, args=(3 * MIB,))
        forked.start()
        forked.join(60)
        forked.kill()
        server.process.send_signal(signal.SIGCONT)
        waiting.join()
        self.assertEqual(forked.exitcode, 0)
        self.assertEqual(self.runs(), 3)

    def test_a_process_that_was_ended_is_started_again(self):
        first = all_reduce()
        (server,) = astrasim_store._servers.values()
        server.process.kill()
        server.process.wait()
        self.assertEqual(all_reduce(), first)

    def test_an_answer_that_was_not_waited_for_is_not_given_to_the_next_call(self):
        first, second = all_reduce(MIB), all_reduce(2 * MIB)
        (server,) = astrasim_store._servers.values()
        # It gets the request, and answers only after nobody waits any more.
        server.process.send_signal(signal.SIGSTOP)
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, signal.default_int_handler))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with self.assertRaises(KeyboardInterrupt):
            all_reduce(MIB)
        server.process.send_signal(signal.SIGCONT)
        self.assertEqual(all_reduce(2 * MIB), second)
        self.assertEqual(all_reduce(MIB), first)

    def test_the_process_ends_with_the_program_that_asks(self):
        script = (
            "import astrasim_store, test_astrasim_store\n"
            "test_astrasim_store.all_reduce()\n"
            "print(*[server.process.pid for server in astrasim_store._servers.values()])\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
        said = subprocess.run([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, check=True)
        with self.assertRaises(ProcessLookupError):
            os.kill(int(said.stdout), 0)

    def test_it_stands_in_for_the_module_of_the_library(self):
        os.makedirs("astrasim_lib")
        with open("astrasim_lib/__init__.py", "w", encoding="utf-8") as package:
            package.write("from .integration import get_remote_memory_path, run_cache_astrasim\n")
        with open("astrasim_lib/integration.py", "w", encoding="utf-8") as original:
            original.write("raise ImportError('the original was imported')\n")
        sys.path.insert(0, os.getcwd())
        self.addCleanup(sys.path.remove, os.getcwd())
        forget = ("astrasim_lib", "astrasim_lib.integration")
        self.addCleanup(lambda: [sys.modules.pop(name, None) for name in forget])
        astrasim_store.install()
        import astrasim_lib

        self.assertIs(astrasim_lib.run_cache_astrasim, astrasim_store.run_cache_astrasim)


if __name__ == "__main__":
    unittest.main()
