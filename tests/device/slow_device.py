"""One channel's DRAM, plain and slow: a tree of nodes as the description of the standards walks it.

Imports nothing of moeram.
"""

from __future__ import annotations

from itertools import product

from slow_standard import Resolved, calculate

NEVER = -1


class SlowDevice:
    def __init__(self, standard: Resolved):
        self.standard = standard
        self.levels, self.counts, self.bank_level = standard.levels, standard.counts, standard.bank_level
        self.commands = standard.data["commands"]
        self.behaviour = standard.data["behaviour"]
        self.names = {"open": "ACT", "close": "PRE", "close_all": "PREA", **self.behaviour.get("answers", {})}
        self.two_step = self.behaviour.get("two_step_opening")
        self.ready: dict[tuple, int] = {}  # (node, command) -> earliest cycle; a node is its path below the channel
        self.history: dict[tuple, list[int]] = {}  # (node, command) -> issues, latest first
        self.state: dict[tuple, str] = dict.fromkeys(self.below(()), "closed")
        self.rows: dict[tuple, set[int]] = {bank: set() for bank in self.state}
        self.in_step_until: dict[tuple, int] = {}
        self.later: list[tuple[int, str, list[int]]] = []
        self.rows_after: dict[tuple, list] = {}  # (level, preceding, sibling) -> rows
        for row in standard.rows:
            self.rows_after.setdefault((row.level, row.preceding, row.sibling), []).append(row)

    def below(self, node: tuple) -> list[tuple]:
        """The banks under a node in order of their indices."""
        ranges = [range(count) for count in self.counts[len(node) + 1 : self.bank_level + 1]]
        return [node + rest for rest in product(*ranges)]

    def children(self, node: tuple, address: list[int]) -> list[tuple]:
        level = len(node) + 1
        entry = address[level]
        return [(*node, child) for child in range(self.counts[level]) if entry in (-1, child)]

    def scope(self, command: str) -> int:
        """The deepest level that is asked whether the command may go; without a word about it the bank."""
        named = self.commands[command].get("scope")
        return min(self.levels.index(named), self.bank_level) if named else self.bank_level

    # ---- may it go?

    def ready_at(self, command: str, address: list[int]) -> int:
        latest, nodes = 0, [()]
        for level in range(self.scope(command) + 1):
            latest = max([latest, *(self.ready.get((node, command), 0) for node in nodes)])
            if level < self.scope(command):
                nodes = [child for node in nodes for child in self.children(node, address)]
        return latest

    def prerequisite(self, command: str, address: list[int]) -> str:
        rules = self.behaviour["prerequisites"]
        for level in range(self.bank_level + 1):
            rule = rules.get(self.levels[level], {}).get(command)
            if rule:
                if -1 in address[1 : level + 1]:
                    return self.answer_for_many(rule, command, address)
                return self.answer(rule, command, tuple(address[1 : level + 1]), address)
        return command

    def answer_for_many(self, rule: str, command: str, address: list[int]) -> str:
        assert rule == "all_banks_closed_strict", rule
        banks = [()]
        for _ in range(self.bank_level):
            banks = [child for node in banks for child in self.children(node, address)]
        return command if all(self.state[bank] == "closed" for bank in banks) else self.names["close_all"]

    def answer(self, rule: str, command: str, node: tuple, address: list[int]) -> str:
        row = address[self.bank_level + 1]
        if rule in ("two_step_read", "two_step_write", "two_step_open"):
            return self.two_step_answer(rule, command, node, row)
        if rule == "row_open":
            if self.state[node] != "opened":
                return self.names["open"]
            return command if row in self.rows[node] else self.names["close"]
        if rule == "bank_closed":
            return self.names["close"] if self.state[node] == "opened" else command
        if rule == "bank_closed_strict":
            return command if self.state[node] == "closed" else self.names["close"]
        if rule in ("all_banks_closed", "all_banks_closed_strict"):
            first = next((self.state[bank] for bank in self.below(node) if self.state[bank] != "closed"), "closed")
            if first == "closed" or (first == "refreshing" and rule == "all_banks_closed"):
                return command
            return self.names["close_all"]
        if rule == "same_banks_closed":
            number = address[self.bank_level]
            same = [self.state[bank] for bank in self.below(node) if bank[-1] == number]
            return "PREsb" if "opened" in same else command
        if rule == "row_open_in_all_banks":
            banks = self.below(node)
            if all(self.state[bank] == "opened" and row in self.rows[bank] for bank in banks):
                return command
            names = self.behaviour["broadcast"]
            return names["open"] if all(self.state[bank] == "closed" for bank in banks) else names["close"]
        raise AssertionError(f"rule {rule} is not in this model")

    def two_step_answer(self, rule: str, command: str, bank: tuple, row: int) -> str:
        if self.state[bank] == "half":
            return command if rule == "two_step_open" and command == self.two_step["first"] else self.two_step["second"]
        if self.state[bank] != "opened":
            return self.two_step["first"]
        wanted = 0 if self.two_step.get("looks_for_row_zero") else row
        if wanted not in self.rows[bank]:
            return self.names["close"]
        if rule == "two_step_open":
            return command
        if self.in_step_until.get(bank[:1], NEVER) >= 0:
            return command
        return self.two_step["sync_read" if rule == "two_step_read" else "sync_write"]

    # ---- it goes

    def issue(self, command: str, address: list[int], now: int) -> None:
        self.touch((), command, address, now)
        self.act(command, address, now)
        delayed = self.behaviour.get("delayed", {}).get(command)
        if delayed:
            after = calculate(delayed["after"], self.standard.names, self.standard.values["tCK_ps"])
            self.later.append((now + after, delayed["apply"], address))

    def touch(self, node: tuple, command: str, address: list[int], now: int) -> None:
        level = len(node)
        past = self.history.setdefault((node, command), [])
        past.insert(0, now)
        for row in self.rows_after.get((level, command, False), []):
            if len(past) >= row.window:
                self.hold(node, row.following, past[row.window - 1] + row.latency)
        if level == self.bank_level:
            return
        for child in ((*node, number) for number in range(self.counts[level + 1])):
            if address[level + 1] in (-1, child[-1]):
                self.touch(child, command, address, now)
                continue
            for row in self.rows_after.get((level + 1, command, True), []):
                self.hold(child, row.following, now + row.latency)

    def hold(self, node: tuple, command: str, until: int) -> None:
        self.ready[node, command] = max(self.ready.get((node, command), 0), until)

    def act(self, command: str, address: list[int], now: int) -> None:
        nodes = [()]
        for level in range(self.scope(command) + 1):
            action = self.behaviour["actions"].get(self.levels[level], {}).get(command)
            for node in nodes if action else []:
                self.change(action, node, command, address, now)
            if level < self.scope(command):
                nodes = [child for node in nodes for child in self.children(node, address)]

    def change(self, action: str, node: tuple, command: str, address: list[int], now: int) -> None:
        if action in ("keep_in_step", "extend_in_step"):
            lasts = calculate(self.two_step["in_step_for"][command], self.standard.names, None)
            before = self.in_step_until.get(node, NEVER) if action == "extend_in_step" else NEVER
            self.in_step_until[node] = max(before, now + lasts)
            return
        row = address[self.bank_level + 1]
        banks = self.below(node)
        if "same_banks" in action:
            banks = [bank for bank in banks if bank[-1] == address[self.bank_level]]
        for bank in banks:
            if action in ("open_row", "open_row_in_all_banks"):
                self.state[bank], self.rows[bank] = "opened", {row}
            elif action == "half_open":
                self.state[bank], self.rows[bank] = "half", {row}
            elif action == "finish_opening":
                self.state[bank] = "opened"
            elif action.endswith("refreshing"):
                self.state[bank] = "refreshing"
            elif action.endswith("refresh_done") or action.startswith("close"):
                self.state[bank], self.rows[bank] = "closed", set()
            else:
                raise AssertionError(f"action {action} is not in this model")

    def tick(self, now: int) -> None:
        due = [entry for entry in self.later if entry[0] <= now]
        self.later = [entry for entry in self.later if entry[0] > now]
        for _, command, address in due:
            self.act(command, address, now)
        self.in_step_until = {node: until for node, until in self.in_step_until.items() if until >= now}
