"""What the screens of a sweep have in common; and those with a job in view: a prompt, what may be asked of the job."""

from typing import ClassVar

from textual.screen import Screen

from runner.model.commands import Cancel, Command, Requeue, Retry
from runner.model.rows import ACTIVE, JobRow
from tui.keys import Where, keys_for
from tui.link import Change
from tui.present import banner, head_line
from tui.rows import job_name
from tui.sanitise import clean
from tui.screens.ask import Ask, Choice
from tui.session import Session
from tui.widgets.foot import Foot
from tui.widgets.job_view import JobView
from tui.widgets.lines import Lines
from tui.widgets.pane import Pane
from tui.widgets.prompt import Prompt

SEARCH = "search"


class Follower(Screen[None]):
    """A screen that shows the latest board, between a head with what must not be missed and a foot with the keys."""

    WHERE: ClassVar[Where]
    AUTO_FOCUS = None

    def __init__(self, session: Session, *keys: Where) -> None:
        super().__init__()
        self.session = session
        self.head = Lines(id="head")
        self.banner = Lines(id="banner")
        self.foot = Foot(session.keymap, *keys)

    def draw_frame(self) -> None:
        """The head and the foot, as they are now."""
        session, width = self.session, self.size.width
        board, now, link = session.board, session.now(), session.change.link
        self.head.show([head_line(board, now, link, session.change.attached, width, session.glyphs)])
        self.banner.show(banner(board, now, link, width, session.glyphs))
        self.foot.leaves = "leave" if session.over else "detach"
        if not self.foot.notice:
            self.foot.draw()

    def say(self, text: str, *, ok: bool = True) -> None:
        self.foot.say(text, ok=ok)

    def changed(self, change: Change) -> None:
        """Another board."""
        raise NotImplementedError

    def tick(self) -> None:
        """Another second."""
        raise NotImplementedError


class JobActions(Follower):
    """A screen with a job in view."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, "any", "app", self.WHERE)
        self.view = JobView(session, alone=self.WHERE == "job", id="view")
        self.prompt = Prompt()

    @property
    def job(self) -> JobRow | None:
        """The job that keys act on."""
        raise NotImplementedError

    def restyle(self) -> None:
        """Another theme."""
        self.view.restyle()
        self.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys typed before the prompt has the focus are words of it, and do nothing else."""
        return not (self.prompt.display and any(key.action == action for key in keys_for("any", "app", self.WHERE)))

    def attend(self) -> None:
        """The user does something with the job in view: it stays in view from now on."""

    def ask_first(self, question: str, command: Command) -> None:
        """Send a command only after a yes."""

        def answered(yes: str | None) -> None:
            if yes == "y":
                self.session.send(command)

        choices = (Choice("y", "yes"), Choice("n", "no"))
        self.app.push_screen(Ask(question, choices, self.session.glyphs), answered)

    # -- the job ------------------------------------------------------------------------------------------------

    def action_cancel(self) -> None:
        self.attend()
        row = self.job
        if row is None:
            return
        if self.session.over:
            self.session.send(Cancel(row.spec.id))  # the answer says why nothing can be done
        elif row.settled:
            self.say(f"{job_name(row, self.session.glyphs)} is {row.state}: there is nothing to cancel", ok=False)
        elif row.state in ACTIVE:
            question = f"End {job_name(row, self.session.glyphs)}? What it has spent is lost."
            self.ask_first(question, Cancel(row.spec.id))
        else:
            self.session.send(Cancel(row.spec.id))

    def action_requeue(self) -> None:
        self.attend()
        row = self.job
        if row is None:
            return
        name = job_name(row, self.session.glyphs)
        if row.state in ACTIVE and not row.cancelling:
            self.ask_first(f"End {name} and queue it again? What it has spent is lost.", Requeue(row.spec.id))
        else:
            says = "being ended already" if row.cancelling else f"{row.state}, not running"
            self.say(f"{name} is {says}" + (": r runs it again" if row.settled else ""), ok=False)

    def action_retry(self) -> None:
        self.attend()
        row = self.job
        if row is None:
            return
        name = job_name(row, self.session.glyphs)
        if self.session.over:
            self.session.send(Retry(row.spec.id))
        elif not row.settled:
            self.say(f"{name} is {row.state}: it needs no retry", ok=False)
        elif row.state in {"done", "skipped"}:
            self.ask_first(f"{name} has a result. Buy it again?", Retry(row.spec.id, force=True))
        else:
            self.session.send(Retry(row.spec.id))

    # -- its panes ----------------------------------------------------------------------------------------------

    def action_log(self) -> None:
        self._switch("log")

    def action_steps(self) -> None:
        self._switch("steps")

    def action_talk(self) -> None:
        self._switch("talk")

    def action_patch(self) -> None:
        self._switch("patch")

    def action_tries(self) -> None:
        self._switch("tries")

    def _switch(self, pane: str) -> None:
        self.attend()
        self.view.switch(pane)

    def action_copy_path(self) -> None:
        self.attend()
        path = self.view.current.path
        if path is None:
            self.say("nothing is shown here that has a path", ok=False)
            return
        # A terminal that knows no OSC 52 copies nothing: the path is said as well.
        self.app.copy_to_clipboard(str(path))
        self.say(f"copied: {self._clean(str(path))}")

    def action_save(self) -> None:
        self.attend()
        self.run_worker(self._save(), group="save", exclusive=True)

    def on_pane_save_asked(self) -> None:
        if not self.prompt.display:
            self.action_save()

    async def _save(self) -> None:
        try:
            path = await self.view.save(self.session.folder)
        except OSError as error:
            self.say(f"not saved: {self._clean(error.strerror or str(error))}", ok=False)
        else:
            self.say(f"saved {self._clean(path.name)} in {self._clean(str(path.parent))}")

    def action_older_try(self) -> None:
        self.attend()
        if not self.view.older(1):
            self.say("there is no older try", ok=False)

    def action_newer_try(self) -> None:
        self.attend()
        if not self.view.older(-1):
            self.say("there is no newer try", ok=False)

    def action_follow(self) -> None:
        self.attend()
        self.view.current.toggle_follow()

    def action_wrap(self) -> None:
        self.attend()
        self.view.current.toggle_wrap()

    def action_next_hit(self) -> None:
        self.attend()
        self.view.current.search_again()

    def action_last_hit(self) -> None:
        self.attend()
        self.view.current.search_again(back=True)

    def on_pane_said(self, message: Pane.Said) -> None:
        self.say(message.says)

    def _clean(self, text: str) -> str:
        return clean(text, ascii_only=self.session.glyphs.ascii_only)

    def begin_search(self) -> None:
        self.attend()
        self.foot.display = False
        self.prompt.ask(SEARCH, self.view.current.needle)

    def on_prompt_closed(self, message: Prompt.Closed) -> None:
        self.foot.display = True
        if message.purpose == SEARCH:
            self.view.current.search(message.text)
            self.view.current.focus()
