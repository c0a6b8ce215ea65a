"""Commands whose options are given once: of a repeated one the last would silently win."""

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from sparseplan.errors import SparseplanError


class OnceCommand(TyperCommand):
    """A command that refuses an option with a value that is given twice, unless it collects values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as typer does, after a look at what came how often.

        Raises:
            SparseplanError: naming the option.
        """
        if not ctx.resilient_parsing:  # completion parses half-written lines
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            for one in order:
                if (
                    one.param_type_name == "option"
                    and not getattr(one, "is_flag", False)
                    and not one.multiple
                    and order.count(one) > 1
                ):
                    option = max(one.opts, key=len)
                    raise SparseplanError(f"{option}: expected once, found {order.count(one)} times; give one value.")
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


class OnceTyper(typer.Typer):
    """An app whose commands are such commands."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a command, as typer does."""
        settings.setdefault("cls", OnceCommand)
        return super().command(name, **settings)
