"""A container's paths for a Python program that has no mount namespace.

The runtime translates the paths in commands and environments, but not those that a program contains or builds.
`install` makes Python's own file functions interpret them as the container's paths: a mount's target is the mount's
folder, what belongs to the system is the host's, and everything else lies in the container's root. The command lines of
programs that it starts are translated like the container's own. Access to a container path in any other way (SQLite,
unix sockets, TensorFlow's file layer) raises PermissionError, so that nothing is written to the host by mistake.

Only the standard library is used, since any Python 3 on the host can import this file.
"""

import builtins
import errno
import io
import json
import os
import posixpath
import sys

VARIABLE = "KUBEPROC_PATHS"  # in the container's environment: the argument of `install`
SYSTEM = ("/proc", "/dev", "/System", "/Library", "/Applications", "/private")  # besides the runtime's `binds`
PATHS = {  # function of `os`: the positions of its paths
    **dict.fromkeys(
        ("access", "chdir", "chflags", "chmod", "chown", "getxattr", "lchflags", "lchmod", "lchown", "listdir", "listxattr",
         "lstat", "mkdir", "mkfifo", "mknod", "open", "pathconf", "readlink", "remove", "removexattr", "rmdir", "scandir",
         "setxattr", "stat", "statvfs", "truncate", "unlink", "utime"),
        (0,),
    ),
    **dict.fromkeys(("link", "rename", "replace", "symlink"), (0, 1)),
}  # fmt: skip
GUARDED = {  # audit event: the positions of its paths
    **dict.fromkeys(
        ("open", "os.chdir", "os.chmod", "os.chown", "os.listdir", "os.mkdir", "os.remove", "os.rmdir", "os.scandir",
         "os.truncate", "os.utime", "sqlite3.connect"),
        (0,),
    ),
    **dict.fromkeys(("os.link", "os.rename", "os.symlink"), (0, 1)),
    **dict.fromkeys(("socket.bind", "socket.connect"), (1,)),
}  # fmt: skip
TENSORFLOW = "tensorflow.python.lib.io._pywrap_file_io"


class View:
    """How a container sees paths. `spec`: root, mounts (target to host path), caches (the same for targets given as
    host paths), kept (host paths that stay unchanged), binds (the system's folders), table (the texts to replace in a
    command line) and pattern (which matches them)."""

    def __init__(self, spec):
        self.root = spec["root"]
        self.mounts = sorted(spec["mounts"].items(), key=lambda item: -len(item[0]))
        self.caches = spec["caches"]
        self.kept = [*spec["kept"], *(path for path in sys.path if path.startswith("/") and path != "/")]
        self.system = [*spec["binds"], *SYSTEM]
        self.table, self.pattern = spec["table"], spec["pattern"]

    def host(self, path):
        """The host's path of a container's path; anything else is returned as it is."""
        try:
            text = os.fsdecode(os.fspath(path))
        except (TypeError, ValueError):
            return path
        if not text.startswith("/"):
            return path
        plain = posixpath.normpath("/" + text.lstrip("/"))
        found = self.located(plain)
        if found == plain:
            return path
        found += "/" if text.endswith("/") else ""
        return os.fsencode(found) if isinstance(path, bytes) else found

    def located(self, plain):
        for target, source in self.caches.items():
            if below(plain, [target]):
                return source + plain[len(target) :]
        if below(plain, self.kept):
            return plain
        for target, source in self.mounts:
            if below(plain, [target]):
                return source + plain[len(target) :]
        return plain if below(plain, self.system) else posixpath.join(self.root, plain[1:]).rstrip("/")

    def said(self, text):
        """A command line argument with the host's paths."""
        import re  # imported here, since few programs start others

        if isinstance(text, bytes):
            return os.fsencode(self.said(os.fsdecode(text)))
        if not isinstance(text, str):
            return text
        return re.sub(self.pattern, lambda match: self.table.get(match[0], match[0]), text)


class Redirected:
    """A function whose arguments at `positions` are turned by `turn`. Not a Python function: those become methods in
    classes."""

    def __init__(self, function, positions, turn):
        self.function, self.positions, self.turn = function, positions, turn
        self.__wrapped__, self.__doc__ = function, function.__doc__
        self.__name__ = self.__qualname__ = function.__name__
        self.__module__ = function.__module__

    def __call__(self, *arguments, **options):
        turned = [self.turn(value) if n in self.positions else value for n, value in enumerate(arguments)]
        for name in ("path", "src", "dst", "file"):
            if name in options:
                options[name] = self.turn(options[name])
        return self.function(*turned, **options)

    def __repr__(self):
        return repr(self.function)


def below(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def install(text):
    """Make this process use the container's paths that `text`, the value of VARIABLE, describes."""
    if not text:
        return
    view = View(json.loads(text))
    for name, positions in PATHS.items():
        if hasattr(os, name):
            redirect(os, name, positions, view.host)
    redirect(io, "open", (0,), view.host)
    builtins.open = io.open
    start_programs(view)
    guard(view)


def enter(spec, link):
    """The same for a child of a warm parent, before it runs its program."""
    install(spec[VARIABLE])


def redirect(module, name, positions, turn):
    function = getattr(module, name)
    wrapper = Redirected(function, positions, turn)
    setattr(module, name, wrapper)
    for group in ("supports_dir_fd", "supports_fd", "supports_follow_symlinks", "supports_effective_ids"):
        if module is os and function in getattr(os, group):
            getattr(os, group).add(wrapper)


def start_programs(view):
    """Translate the command lines of programs that this one starts."""
    import _posixsubprocess

    def words(value):
        return [view.said(word) for word in value] if isinstance(value, (list, tuple)) else view.said(value)

    def fork_exec(arguments, executables, close_fds, pass_fds, cwd, *rest):
        executables = [view.host(path) for path in executables]
        return original(words(arguments), executables, close_fds, pass_fds, view.host(cwd), *rest)

    original = _posixsubprocess.fork_exec
    _posixsubprocess.fork_exec = fork_exec
    if loaded := sys.modules.get("subprocess"):
        loaded._fork_exec = fork_exec  # type: ignore[attr-defined]
    redirect(os, "system", (0,), view.said)
    for name in ("execv", "execve", "posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            redirect(os, name, (1,), words)
            redirect(os, name, (0,), view.host)


def guard(view):
    """Reject container paths in calls that bypass the functions above."""

    def check(path):
        if isinstance(path, (str, bytes)) and view.host(path) != path and not imported(path):
            shown = os.fsdecode(path)
            raise PermissionError(
                errno.EPERM,
                "a path of the pod that is not translated inside of this program: pass it by the command line or the "
                f"environment (the pod has it at {os.fsdecode(view.host(path))})",
                shown,
            )

    def hook(event, arguments):
        for position in GUARDED.get(event, ()):
            check(arguments[position])

    sys.addaudithook(hook)
    when_imported({"ssl": view_of_ssl, "sqlite3": view_of_sqlite, TENSORFLOW: tensorflow_refused(check)}, view)


def imported(path):
    """Whether the path belongs to a folder that modules are imported from."""
    return below(os.fsdecode(path), [entry.rstrip("/") for entry in sys.path if entry.startswith("/")])


def view_of_ssl(module, view):
    """Translate the certificate files that OpenSSL opens by itself."""
    context = module.SSLContext
    verify, chain = context.load_verify_locations, context.load_cert_chain

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        return verify(self, view.host(cafile), view.host(capath), cadata)

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        return chain(self, view.host(certfile), view.host(keyfile), password)

    context.load_verify_locations, context.load_cert_chain = load_verify_locations, load_cert_chain


def view_of_sqlite(module, view):
    redirect(module, "connect", (0,), view.host)


def tensorflow_refused(check):
    """Check the paths passed to TensorFlow's file layer, which is native code."""

    def checked(function, paths):
        def call(*arguments, **options):
            for value in arguments[:paths]:
                check(value)
            return function(*arguments, **options)

        return call

    def change(module, view):
        for name, function in list(vars(module).items()):
            if callable(function) and name[0] != "_" and name != "TransactionToken":
                setattr(module, name, checked(function, 2 if name in ("CopyFile", "RenameFile") else 1))

    return change


def when_imported(changes, view):
    """Change modules (`changes`: name to function) once they are imported."""

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name not in changes:
                return None
            from importlib.machinery import PathFinder

            spec = PathFinder.find_spec(name, path, target)
            if spec and spec.loader:
                load = spec.loader.exec_module
                spec.loader.exec_module = lambda module: (load(module), changes[name](module, view))[0]  # type: ignore[method-assign]
            return spec

    for name, change in changes.items():
        if name in sys.modules:
            change(sys.modules[name], view)
    sys.meta_path.insert(0, Finder)
