"""The command line: each command parses its words, calls one function and prints what it returned."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

from labkit import __version__, output
from labkit.errors import LabError
from labkit.output import say

OPTIONS = (
    "port",
    "nodes",
    "node_cpus",
    "node_memory",
    "network",
    "outside",
    "bundle",
    "kubernetes",
    "context",
    "namespace",
    "image",
)
PARAMETER = ("-p", "--parameter", "-r", "--parameter-raw")
SHIELD = "\0"
Command = Callable[[argparse.Namespace], int]


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did its job, 1 when it failed, 2 when the words were wrong, 130 on Ctrl-C."""
    output.prepare()
    try:
        arguments = parser().parse_args(_shielded(sys.argv[1:] if words is None else words))
        return int(arguments.command(arguments) or 0)
    except LabError as error:
        say(f"labkit: {error}", sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # of a command that prints until its reader has enough; the others use output.say
        output.discard(sys.stdout)
        return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="labkit", description="A lab kit for a course on distributed machine learning.")
    top.add_argument("--version", action="version", version=f"labkit {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Command, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(command=command)
        return sub

    def named(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
        sub.add_argument("--name", default="labkit", help="the cluster's name (default: labkit)")
        return sub

    sub = named(add("up", up, "start a local cluster, or the parts of it that do not run"))
    engines = "embedded, kind, or existing, for a cluster that runs already (default: the cluster's own; embedded for a new one)"
    sub.add_argument("--engine", help=engines)
    sub.add_argument("--nodes", type=int, metavar="N", help="machines in a new cluster (default: 1)")
    sub.add_argument("--node-cpus", type=int, metavar="N", help="the CPUs of each (default: all of this machine's)")
    sub.add_argument("--node-memory", metavar="SIZE", help="the memory of each, as in 4Gi (default: this machine's)")
    words = "embedded: pods have a network of their own, or share this machine's (default: their own, where possible)"
    sub.add_argument("--network", choices=["pods", "shared"], help=words)
    words = "embedded: pods with a network of their own reach no other one (default: TCP ports 80 and 443)"
    sub.add_argument("--no-outside", action="store_const", const=False, dest="outside", help=words)
    sub.add_argument("--bundle", metavar="DIR", help="kind: take all from this bundle (default: $LABKIT_BUNDLE)")
    sub.add_argument("--kubernetes", metavar="VERSION", help="kind: 1.33 or 1.34 (default: 1.34)")
    sub.add_argument("--port", type=int, help="the API's port on 127.0.0.1 (default: a free one)")
    sub.add_argument("--context", metavar="NAME", help="existing: a context of your kubeconfig")
    sub.add_argument("--namespace", metavar="NS", help="existing: the namespace to keep to (default: the context's)")
    sub.add_argument("--image", metavar="NAME", help="existing: the lab image in a registry (default: labkit/lab:1)")

    sub = named(add("down", down, "stop the cluster and keep its state"))
    sub.add_argument("--purge", action="store_true", help="delete the state as well")

    sub = named(add("status", status, "show what runs"))
    sub.add_argument("-o", "--output", choices=["text", "json"], default="text")
    sub.add_argument("--watch", action="store_true", help="keep showing it as it changes")

    named(add("kubeconfig", kubeconfig, "print the path of the cluster's kubeconfig"))

    sub = named(add("logs", logs, "print a pod's log, or the cluster's own when no pod is named"))
    sub.add_argument("pod", nargs="?", help="POD, or NAMESPACE/POD")
    sub.add_argument("-f", "--follow", action="store_true")
    sub.add_argument("-c", "--container")

    sub = add("doctor", doctor, "say what this machine has, what is missing and how to install it")
    sub.add_argument("-o", "--output", choices=["text", "json"], default="text")

    sub.add_argument("--bundle", metavar="DIR", help="check the files of a bundle instead")

    sub = add("bundle", bundle, "make a folder with all that the engine kind needs, for machines without a network")
    sub.add_argument("action", choices=["create"])
    sub.add_argument("folder", metavar="DIR", help="the bundle's folder; whole files in it are kept")
    sub.add_argument("--kubernetes", metavar="VERSION", help="1.33 or 1.34 (default: 1.34)")
    sub.add_argument(
        "--platform", metavar="MACHINE", choices=["x86_64", "aarch64"], help="of the wheels (default: here)"
    )
    sub.add_argument("--no-wheels", action="store_true", help="leave out the kit's own requirements")
    take = "take this image of Docker's instead of the registry's; ROLE as in cluster/versions.yaml, or node, base"
    sub.add_argument("--image", nargs=2, action="append", default=[], metavar=("ROLE", "NAME"), help=take)
    copy = "take this copy of upstream's repository instead of GitHub's"
    sub.add_argument("--upstream", nargs=2, action="append", default=[], metavar=("OPERATOR", "DIR"), help=copy)

    sub = add("node", node, "turn a machine of the cluster off, as in a failure, or on again")
    sub.add_argument("--name", help="the cluster's name (default: that of KUBECONFIG, or labkit)")
    sub.add_argument("action", choices=["stop", "start"])
    sub.add_argument("node", metavar="NODE", help="its name, as `kubectl get nodes` shows it")

    named(add("ui", ui, "open the Argo UI")).add_argument("--no-browser", action="store_true")

    sub = add("run", run, "execute notebooks headless and report")
    which = "notebooks or folders of them (default: notebooks here, or else the kit's)"
    sub.add_argument("paths", nargs="*", metavar="PATH", help=which)
    sub.add_argument("--out", required=True, metavar="DIR", help="the folder of the report; an earlier one is replaced")
    sub.add_argument("--force", action="store_true", help="accept other files in that folder, and keep them")
    sub.add_argument("--engine", help="start a cluster of this engine for the run: embedded (default), kind")
    sub.add_argument("--nodes", type=int, metavar="N", help="machines of that cluster (default: 1)")
    sub.add_argument("--cluster", metavar="NAME", help="use this running cluster instead of starting one")
    sub.add_argument("--jobs", type=int, metavar="N", help="notebooks at once (default: half of the CPUs)")
    pair: dict[str, Any] = {"nargs": 2, "action": "append", "default": []}
    typed = "set a parameter of the notebooks, such as -p SCALE class (ci, class or full): a number, true, false, none or text"
    sub.add_argument("-p", "--parameter", **pair, metavar=("NAME", "VALUE"), help=typed)
    sub.add_argument(
        "-r", "--parameter-raw", **pair, metavar=("NAME", "TEXT"), help="set one to text, such as -r ID 0042"
    )
    sub.add_argument("--timeout", type=float, default=1800, metavar="S", help="seconds for a notebook (default: 1800)")
    sub.add_argument("--cell-timeout", type=float, default=600, metavar="S", help="seconds for a cell (default: 600)")

    sub = named(add("lab", lab, "open JupyterLab with the cluster up and the notebooks in a work folder"))
    sub.add_argument("--dir", help="the work folder (default: ~/labkit-work); files in it are never overwritten")
    sub.add_argument("--no-browser", action="store_true", help="print JupyterLab's address and open nothing")
    sub.add_argument("--port", type=int, default=8888, help="JupyterLab's port (default: 8888, or the next free one)")

    sub = add(
        "reset", reset, "put an exercise of your notebook back to what was handed out, and keep your text in a file"
    )
    sub.add_argument("notebook", metavar="NOTEBOOK", help="your copy, as notebooks/00_setup.ipynb, or 00_setup")
    sub.add_argument("exercise", metavar="EXERCISE", help="its number in the notebook, its grade_id, or its cell's id")
    return top


def _shielded(words: Sequence[str]) -> list[str]:
    """The words with a NUL before each value of -p and -r that begins with a dash: argparse takes `-p LR -1e-3` for an
    option without its value. No word of a command line has a NUL by itself."""
    shielded = list(words)
    for place, word in enumerate(words[:-2]):
        if word in PARAMETER and words[0] == "run" and "--" not in words[:place] and words[place + 2].startswith("-"):
            shielded[place + 2] = SHIELD + words[place + 2]
    return shielded


def up(arguments: argparse.Namespace) -> int:
    from labkit import cluster

    options = {name: getattr(arguments, name) for name in OPTIONS}
    given = {name: value for name, value in options.items() if value is not None}
    found = cluster.up(arguments.name, arguments.engine, **given)
    _say_status(found)
    say(f"\nexport KUBECONFIG={shlex.quote(str(found['kubeconfig']))}")
    return 0


def down(arguments: argparse.Namespace) -> int:
    from labkit import cluster

    did = cluster.down(arguments.name, arguments.purge)
    done = "stopped and deleted" if arguments.purge else "stopped, its state kept"
    say(f"cluster {arguments.name}: {done if did else 'nothing to stop'}")
    return 0


def status(arguments: argparse.Namespace) -> int:
    from labkit import cluster

    if arguments.watch:
        from labkit import show

        show.watch_status(arguments.name)
        return 0
    found = cluster.status(arguments.name)
    if arguments.output == "json":
        say(json.dumps(found, indent=2))
    else:
        _say_status(found)
    return 0 if found["state"] == "running" else 1


def _say_status(found: dict[str, object]) -> None:
    for key in ("name", "engine", "state", "api", "folder", "kubeconfig"):
        if found.get(key):
            say(f"{key:12} {found[key]}")
    for key in ("daemons", "nodes", "node", "mechanisms", "pods"):
        part = found.get(key)
        if isinstance(part, dict) and part:
            say(f"{key:12} " + "; ".join(f"{k}: {v or 'stopped'}" for k, v in part.items()))
    for note in found.get("notes") or []:  # type: ignore[attr-defined]
        say(f"{'note':12} {note}")


def kubeconfig(arguments: argparse.Namespace) -> int:
    from labkit import cluster

    say(cluster.kubeconfig(arguments.name))
    return 0


def logs(arguments: argparse.Namespace) -> int:
    from labkit import client, cluster

    if not arguments.pod:
        say(cluster.daemon_logs(arguments.name))
        return 0
    cluster.use(arguments.name)
    namespace, _, pod = arguments.pod.rpartition("/")
    for text in client.logs(
        pod, namespace=namespace or "default", container=arguments.container, follow=arguments.follow
    ):
        print(text, end="", flush=True)
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    from labkit import doctor as checkup

    findings = checkup.examine_bundle(arguments.bundle) if arguments.bundle else checkup.examine()
    if arguments.output == "json":
        say(json.dumps([f.as_dict() for f in findings], indent=2))
    else:
        for finding in findings:
            say(finding.line())
    return 0 if all(f.ok for f in findings) else 1


def bundle(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from realkube.supply import bundle_maker

    made = bundle_maker.create(
        arguments.folder,
        arguments.kubernetes,
        stand_ins=dict(arguments.image),
        upstream={operator: Path(folder) for operator, folder in arguments.upstream},
        with_wheels=not arguments.no_wheels,
        machine=arguments.platform,
    )
    size = sum(file["size"] for file in made.content["files"].values()) / 2**20
    say(
        f"{made.folder}: {len(made.content['files'])} files, {size:.0f} MB\n\nlabkit up --engine kind --bundle {made.folder}"
    )
    return 0


def node(arguments: argparse.Namespace) -> int:
    from labkit import cluster

    name = arguments.name or cluster.spoken_to()
    act = cluster.stop_node if arguments.action == "stop" else cluster.start_node
    say(f"cluster {name}: {act(arguments.node, name)}")
    return 0


def ui(arguments: argparse.Namespace) -> int:
    from labkit import ui as pages

    pages.open(arguments.name, browser=not arguments.no_browser)
    return 0


def run(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from labkit import paths, runner
    from labkit.runner import parameters

    given, raw = ([(n, v.removeprefix(SHIELD)) for n, v in a] for a in (arguments.parameter, arguments.parameter_raw))
    here = Path("notebooks")
    report = runner.run(
        arguments.paths or [here if here.is_dir() else paths.kit() / here],
        out=arguments.out,
        engine=arguments.engine,
        cluster_name=arguments.cluster,
        nodes=arguments.nodes,
        jobs=arguments.jobs,
        parameters=parameters.given(given, raw),
        timeout=arguments.timeout,
        cell_timeout=arguments.cell_timeout,
        force=arguments.force,
    )
    return 0 if report.passed else 1


def reset(arguments: argparse.Namespace) -> int:
    from labkit.grading.reset import reset as put_back

    done = put_back(arguments.notebook, arguments.exercise)
    if not done.cells:
        say(f"{done.notebook}: the exercise {arguments.exercise} is as it was handed out")
        return 0
    say(f"{done.notebook}: as handed out again: {', '.join(done.cells)}; what stood there is in {done.kept}")
    say("If JupyterLab has the notebook open: File > Reload Notebook from Disk, before it saves its own copy.")
    return 0


def lab(arguments: argparse.Namespace) -> int:
    from labkit import lab as jupyter

    jupyter.open(arguments.name, directory=arguments.dir, port=arguments.port, browser=not arguments.no_browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
