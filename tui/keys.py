"""Every key in one place: bindings, footer, help and palette are made from this table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding

Where = Literal["any", "app", "sweep", "job", "move", "log", "entries", "pane", "sweeps", "first", "page", "doctor"]


@dataclass(frozen=True, slots=True)
class Key:
    """An action and its keys."""

    id: str
    keys: str
    """As Textual names them, separated by commas."""
    label: str
    help: str
    group: str
    where: tuple[Where, ...]
    footer: bool = False
    palette: bool = True
    beside: str = ""
    """The id of another action whose key the footer shows with this one's."""

    @property
    def action(self) -> str:
        return self.id.replace("-", "_")


KEYS: tuple[Key, ...] = (
    Key("detach", "d", "detach", "leave; the runner goes on", "sweep", ("any",), footer=True),
    Key("open", "enter", "open", "the selected job, full screen", "move", ("sweep", "sweeps"), footer=True),
    Key("back", "escape", "back", "clear the filter or the search marks", "move", ("sweep",),
        palette=False),
    Key("close", "escape", "back", "on a job's own screen: back to the table", "move", ("job",),
        footer=True, palette=False),
    Key("close-page", "escape", "back", "from the images back to the sweep", "move", ("page",), footer=True,
        palette=False),
    Key("cancel", "x", "cancel", "end the selected job; asks when it is running", "job", ("sweep", "job"), footer=True),
    Key("retry", "r", "retry", "run the selected job again; asks before a result is bought again", "job",
        ("sweep", "job"), footer=True),
    Key("pause", "p", "pause", "start nothing new, or go on", "sweep", ("app",), footer=True),
    Key("filter", "slash", "filter", "filter the table; with a pane in focus, search there", "find", ("sweep",),
        footer=True),
    Key("search", "slash", "search", "find a text in the pane", "find", ("job",), footer=True),
    Key("sort", "s", "sort", "plan order, state, cost, time, steps", "find", ("sweep",), footer=True),
    Key("more-slots", "plus", "slots", "one job more at a time", "sweep", ("app",), footer=True, beside="fewer-slots"),
    Key("fewer-slots", "minus", "fewer slots", "one job fewer at a time", "sweep", ("app",)),
    Key("stop", "Q", "stop", "stop the runner: let what runs finish, or end it now", "sweep", ("app",), footer=True),
    Key("retry-failed", "R", "retry failed", "queue every failed job again", "sweep", ("app",), footer=True),
    Key("requeue", "X", "requeue", "end the selected job's running try and queue the job again; asks first", "job",
        ("sweep", "job"), footer=True),
    Key("log", "1", "log", "the job's output", "job", ("sweep", "job")),
    Key("steps", "2", "steps", "what each agent thought and ran, step by step", "job", ("sweep", "job")),
    Key("talk", "3", "talk", "what the agents wrote to each other, and what they pushed", "job", ("sweep", "job")),
    Key("patch", "4", "patch", "what each agent changed", "job", ("sweep", "job")),
    Key("tries", "5", "tries", "every attempt of the job: how it ended, and how we know", "job",
        ("sweep", "job"), footer=True),
    Key("older-try", "left_square_bracket", "older try", "the panes of the try before", "job", ("sweep", "job")),
    Key("newer-try", "right_square_bracket", "newer try", "the panes of the try after", "job", ("sweep", "job")),
    Key("follow", "f", "follow", "keep the end of the pane in view", "job", ("sweep", "job"), footer=True),
    Key("wrap", "w", "wrap", "fold long lines, or move along them with left and right", "job",
        ("sweep", "job"), footer=True),
    Key("copy-path", "y", "copy path", "copy the path of what the pane shows, and say it", "job", ("sweep", "job"),
        footer=True),
    Key("save", "s", "save", "save all that the pane shows to a file here; with the table in focus, s sorts", "job",
        ("job", "pane"), footer=True),
    Key("next-hit", "n", "next hit", "the next place where the search text is", "find", ("sweep", "job")),
    Key("last-hit", "N", "last hit", "the place before", "find", ("sweep", "job")),
    Key("other-pane", "tab", "pane/table", "from the table to the pane and back", "move",
        ("sweep",), palette=False, footer=True),
    Key("up", "up,k", "up", "one line up", "move", ("move",), palette=False),
    Key("down", "down,j", "down", "one line down", "move", ("move",), palette=False),
    Key("page-up", "pageup,ctrl+b", "page up", "one page up", "move", ("move",), palette=False),
    Key("page-down", "pagedown,ctrl+f,space", "page down", "one page down", "move", ("move",), palette=False),
    Key("first", "g,home", "first", "to the first line", "move", ("move",), palette=False),
    Key("last", "G,end", "last", "to the last line", "move", ("move",), palette=False),
    Key("left", "left", "left", "back along unwrapped lines", "move", ("log",), palette=False),
    Key("right", "right", "right", "along unwrapped lines", "move", ("log",), palette=False),
    Key("unfold", "enter,space", "unfold", "in the steps: all of the selected one, or its beginning again", "move",
        ("entries",), palette=False),
    Key("set-up", "u", "set up", "before the first sweep: make what is missing", "sweep", ("first",), footer=True),
    Key("rehearse", "r", "rehearse", "before the first sweep: the recorded one", "sweep", ("first",), footer=True),
    Key("images", "i", "images", "the Docker images that jobs need, and how far they are", "screen", ("app",)),
    Key("doctor", "h", "doctor", "is everything here that a sweep needs? how to mend it", "screen",
        ("app", "sweeps", "first")),
    Key("leave-doctor", "escape", "back", "leave the doctor's findings", "screen", ("doctor",), footer=True,
        palette=False),
    Key("look-again", "r", "look again", "on the doctor's screen: look at everything anew", "screen", ("doctor",),
        footer=True, palette=False),
    Key("help", "question_mark", "help", "this page", "screen", ("any",), footer=True),
    Key("palette", "ctrl+p", "palette", "every action by name", "screen", ("any",), palette=False),
    Key("screenshot", "ctrl+s", "screenshot", "save the screen as an SVG here", "screen", ("any",)),
    Key("theme", "ctrl+t", "theme", "dark, light, plain", "screen", ("any",)),
    Key("interrupt", "ctrl+c", "ctrl+c", "says how to leave; ends nothing", "screen", ("any",), palette=False),
)  # fmt: skip

GROUPS: dict[str, str] = {
    "move": "moving",
    "find": "finding",
    "job": "the selected job",
    "sweep": "the sweep",
    "screen": "the screen",
}

_SHOWN = {
    "slash": "/", "question_mark": "?", "plus": "+", "minus": "-", "escape": "esc", "pageup": "pgup",
    "pagedown": "pgdn", "left_square_bracket": "[", "right_square_bracket": "]", "comma": ",", "full_stop": ".",
}  # fmt: skip


_TOGETHER: tuple[tuple[Where, ...], ...] = (
    ("any", "app", "sweep", "move", "log"), ("any", "app", "job", "move", "log", "pane"),
    ("any", "sweeps", "move"), ("any", "first", "move", "log", "pane"),
    ("any", "app", "page", "move"),
    ("doctor",),
    # Where there is something to unfold, its keys come before those of moving and of the screen.
    ("any", "app", "log", "entries"),
    # With a pane under the table in focus, its own keys come before the table's.
    ("any", "app", "move", "log", "pane"),
)  # fmt: skip


class Keymap:
    """The registry as one user has it."""

    def __init__(self, changes: Mapping[str, str] | None = None) -> None:
        """
        Raises:
            ValueError: an id that there is not, or one key for two actions of the same screen; a sentence.
        """
        self.changes = {name: _normal(keys) for name, keys in (changes or {}).items()}
        known = {key.id for key in KEYS}
        for name in self.changes:
            if name not in known:
                raise ValueError(f"there is no action '{name}'; the actions are {', '.join(sorted(known))}")
        for screen in _TOGETHER:
            taken: dict[str, str] = {}
            for key in keys_for(*screen):
                for one in self.keys(key).split(","):
                    other = taken.setdefault(one, key.id)
                    if other != key.id:
                        raise ValueError(f"the key '{one}' is given to both '{other}' and '{key.id}'")

    def keys(self, key: Key) -> str:
        return self.changes.get(key.id, key.keys)

    def shown(self, key: Key, *, all_of_them: bool = False) -> str:
        """As a person would write it: `/`, `ctrl+p`, `pgup`."""
        names = [_SHOWN.get(name, name) for name in self.keys(key).split(",")]
        return " ".join(names) if all_of_them else names[0]


def _normal(keys: str) -> str:
    written = {shown: name for name, shown in _SHOWN.items()}
    return ",".join(written.get(part.strip(), part.strip()) for part in keys.split(",")) if keys != "," else "comma"


def keys_for(*places: Where) -> Iterable[Key]:
    """The keys that act in one of some places, in the registry's order."""
    return (key for key in KEYS if any(place in key.where for place in places))


def key_of(name: str) -> Key:
    """The key of this id."""
    return next(key for key in KEYS if key.id == name)


def bindings(*places: Where, keymap: Keymap | None = None) -> list[Binding]:
    """For a widget's, a screen's or the app's BINDINGS."""
    keymap = keymap or Keymap()
    return [
        Binding(keymap.keys(key), key.action, key.label, show=False, id=key.id, priority=key.id == "other-pane")
        for key in keys_for(*places)
    ]
