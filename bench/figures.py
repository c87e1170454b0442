"""What replay wrote, as figures, and the table of figures against their targets."""

import collections
import statistics

Run = collections.namedtuple("Run", "config round command object wall cpu")  # ns; cpu with the daemon's


def read_runs(file):
    """The runs of a replay, and what each configuration's daemon did after the last one."""
    runs, tails = [], {}
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            config, rnd, command, obj, wall, cpu, daemon, _ = line.rstrip("\n").split("\t")
            if command == "tail":
                tails[config] = int(daemon)
            else:
                runs.append(Run(config, int(rnd), int(command), obj, int(wall), int(cpu) + int(daemon)))
    return runs, tails


def p95(values):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


class Series:
    """All runs of one configuration: wall and processor time, in milliseconds."""

    def __init__(self, runs, tail=0):
        self.by_command = collections.defaultdict(list)
        for r in runs:
            self.by_command[r.command].append(r)
        # Of a command's rounds the median: one disturbed round does not count.
        self.wall = [statistics.median(r.wall for r in rs) / 1e6 for rs in self.by_command.values()]
        self.cpu = [statistics.median(r.cpu for r in rs) / 1e6 for rs in self.by_command.values()]
        rounds = len(runs) / len(self.by_command)
        self.total_wall = sum(r.wall for r in runs) / rounds / 1e6
        self.total_cpu = (sum(r.cpu for r in runs) + tail) / rounds / 1e6

    def row(self):
        return [statistics.median(self.wall), p95(self.wall), self.total_wall,
                statistics.median(self.cpu), p95(self.cpu), self.total_cpu]


def collect(files):
    """Series by configuration, from one or more replays."""
    runs, tails = collections.defaultdict(list), collections.Counter()
    for file in files:
        these, tail = read_runs(file)
        for r in these:
            runs[r.config].append(r)
        tails.update(tail)
    return {config: Series(rs, tails[config]) for config, rs in runs.items()}


def paired(a, b, of):
    """The median over the commands of a's time divided by b's: a noisy minute meets both."""
    return statistics.median(
        statistics.median(getattr(r, of) for r in a.by_command[c]) /
        statistics.median(getattr(r, of) for r in b.by_command[c]) for c in a.by_command)


class Table:
    """Figures with their targets, printed and kept as tab separated lines."""

    def __init__(self):
        self.rows = []

    def note(self, name, measured, against=""):
        self.rows.append((name, measured, against, "", "", ""))

    def at_most(self, name, value, base, target, unit="ms", measured=None):
        """A ratio to a base that is not to be larger than the target."""
        ratio = value / base
        self.rows.append((name, measured or f"{value:.3g} {unit}", f"{base:.3g} {unit}", f"{ratio:.3f}", f"<= {target:g}",
                          "reached" if ratio <= target else "short"))

    def below(self, name, value, limit, unit):
        self.rows.append((name, f"{value:.3g} {unit}", "", "", f"<= {limit:g} {unit}",
                          "reached" if value <= limit else "short"))

    def at_least(self, name, value, base, target, unit):
        ratio = value / base
        self.rows.append((name, f"{value:.3g} {unit}", f"{base:.3g} {unit}", f"{ratio:.2f}", f">= {target:g}",
                          "reached" if ratio >= target else "short"))

    def claim(self, name, holds, measured):
        self.rows.append((name, measured, "", "", "", "reached" if holds else "short"))

    HEAD = ("figure", "measured", "against", "ratio", "target", "")

    def text(self):
        rows = [self.HEAD, *self.rows]
        widths = [max(len(r[i]) for r in rows) for i in range(len(self.HEAD))]
        lines = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip()
                 for r in rows]
        return "\n".join(lines)

    def save(self, file):
        with open(file, "w", encoding="utf-8") as out:
            for r in (("figure", "measured", "against", "ratio", "target", "verdict"), *self.rows):
                out.write("\t".join(r) + "\n")


def print_series(title, series):
    print(f"\n{title}\n{'':24}{'wall ms':>9}{'p95':>9}{'sum':>11}{'CPU ms':>10}{'p95':>9}{'sum':>11}")
    for name, s in series.items():
        w, w95, ws, c, c95, cs = s.row()
        print(f"{name:24}{w:9.2f}{w95:9.2f}{ws:11.0f}{c:10.2f}{c95:9.2f}{cs:11.0f}", flush=True)
