"""What a replay says in words: how sure it is, and what each of its points rests on."""

from dataclasses import dataclass

from adbid.domain.roas_status import MINIMUM_CONVERSIONS


@dataclass(frozen=True, slots=True)
class Point:
    """What is said of one target, with what is in `what_if.Played`. strategy_changed: another multiplier."""

    target: float
    roas: float | None
    only_probes: bool
    beyond: float
    ended_days: int
    days: int
    strategy_changed: bool


def note_of(point: Point) -> str | None:
    """What to keep in mind of a point; None where there is nothing to say."""
    notes = []
    if point.roas is None:
        notes.append("Nothing is bought.")
    elif point.only_probes:
        notes.append("Not reached: nothing but probes is bought.")
    elif point.roas < point.target:
        notes.append(f"Not reached: the days return {point.roas:.2f}.")
    if point.ended_days:
        notes.append(f"The budget ends {point.ended_days} of {point.days} days.")
    if point.beyond > 0.0:
        share = "All" if point.beyond >= 1.0 else _percent(point.beyond)
        if point.strategy_changed:
            notes.append(f"{share} of the spend is in reach of rivals whose bids nobody knows.")
        elif point.beyond >= 1.0:
            notes.append(
                "A floor: only the traffic limits what this allows, and the log ends with what was won."
            )
        else:
            notes.append(f"A floor: {share} of the spend that this allows was never won, so no log shows it.")
    return " ".join(notes) or None


def too_little(days: int, conversions: int) -> str:
    """Why there is no curve."""
    if days == 0:
        return f"Nothing was bought yet; {MINIMUM_CONVERSIONS:.0f} conversions are needed to play days again."
    had = f"{_count(conversions, 'conversion')} in {_count(days, 'day')}"
    return f"Only {had}; {MINIMUM_CONVERSIONS:.0f} are needed to tell one target from another."


def confidence(days: int, immature: int, conversions: int, spend_error: float, revenue_error: float) -> str:
    """How far to trust a curve. Errors: of the present setting's replay against what was observed."""
    played = f"Played on {_count(days, 'day')} with {_count(conversions, 'conversion')}"
    if immature:
        played += f"; for {_count(immature, 'day')} of them, conversions may still come"
    return (
        f"{played}. With the present setting the replay spends {_compared(spend_error)} and earns "
        f"{_compared(revenue_error)} than was observed. Only what was won is in the log: what a lower "
        "target, a larger budget or another strategy would have won besides is not in these figures."
    )


def _compared(error: float) -> str:
    if abs(error) < 0.005:
        return "no more or less"
    return f"{abs(error):.0%} {'more' if error > 0.0 else 'less'}"


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}{'' if number == 1 else 's'}"


def _percent(share: float) -> str:
    """Never rounded to nothing or to all."""
    return f"{min(max(round(100.0 * share), 1), 99)} %"
