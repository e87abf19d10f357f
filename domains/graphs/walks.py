"""Ways through a graph, in O(m) steps of plain lists: orders of its nodes, orders of its edges, Euler walks.

Every choice is uniform among what is possible then, so the probability of a way is the product of 1 / choices; its
logarithm comes with it where it is asked for. Parts that hang together with nothing follow one after the other.
Knows no tokens.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from domains.graphs.graph import Edges

Generator = np.random.Generator
Lists = list[list[int]]
ORDERS = ("walk", "dfs", "bfs", "lexdfs", "lexbfs", "mcs")


def neighbour_lists(n: int, edges: Edges) -> Lists:
    """Per node whom it is joined with, whatever the direction; parallel edges count twice, loops not at all."""
    near: Lists = [[] for _ in range(n)]
    for u, v in edges.tolist():
        if u != v:
            near[u].append(v)
            near[v].append(u)
    return near


def visit(near: Lists, draws: Generator, order: str = "walk") -> tuple[list[int], float]:
    """All nodes in the order of a random traversal, and the log-probability of its choices.

    walk: from each node to an unvisited neighbour; where there is none, to any unvisited node next to a visited one
    (AutoGraph's SENT, arXiv 2502.02216). dfs: back to the last node that still has one. bfs: level by level. The others
    take the node whose visited neighbours are the newest (`lexdfs`, Corneil and Krueger 2008), the oldest (`lexbfs`,
    Rose, Tarjan and Lueker 1976) or the most (`mcs`, Tarjan and Yannakakis 1984): they leave little to chance, and what
    comes next is near what came before.
    """
    if order in ("lexdfs", "lexbfs", "mcs"):
        return _by_neighbours(near, draws, order)
    return {"walk": _walk, "dfs": _dfs, "bfs": _bfs}[order](near, draws)


def _walk(near: Lists, draws: Generator) -> tuple[list[int], float]:
    n = len(near)
    luck = iter(draws.random(2 * n + 2).tolist())
    seen = [False] * n
    found: list[int] = []
    log = 0.0
    border: list[int] = []
    place = [-1] * n

    def leave(node: int) -> None:
        """Takes a node out of the border."""
        at, last = place[node], border.pop()
        if last != node:
            border[at] = last
            place[last] = at

    fresh = list(range(n))
    while len(found) < n:
        if found:
            fresh = [v for v in range(n) if not seen[v]]
        node = fresh[int(next(luck) * len(fresh))]
        log -= math.log(len(fresh))
        while True:
            seen[node] = True
            found.append(node)
            if place[node] >= 0:
                leave(node)
            options = [w for w in near[node] if not seen[w]]
            for w in options:
                if place[w] < 0:
                    place[w] = len(border)
                    border.append(w)
            options = options or border
            if not options:
                break
            node = options[int(next(luck) * len(options))]
            log -= math.log(len(options))
    return found, log


def _dfs(near: Lists, draws: Generator) -> tuple[list[int], float]:
    return _by_agenda(near, draws, last=True)


def _bfs(near: Lists, draws: Generator) -> tuple[list[int], float]:
    return _by_agenda(near, draws, last=False)


def _by_agenda(near: Lists, draws: Generator, *, last: bool) -> tuple[list[int], float]:
    """From the newest (`last`) or the oldest node that still has an unvisited neighbour."""
    n = len(near)
    luck = iter(draws.random(n).tolist())
    seen = [False] * n
    found: list[int] = []
    log = 0.0
    while len(found) < n:
        fresh = [v for v in range(n) if not seen[v]]
        node = fresh[int(next(luck) * len(fresh))]
        log -= math.log(len(fresh))
        seen[node] = True
        found.append(node)
        agenda = deque([node])
        while agenda:
            here = agenda[-1] if last else agenda[0]
            options = [w for w in near[here] if not seen[w]]
            if not options:
                agenda.pop() if last else agenda.popleft()
                continue
            node = options[int(next(luck) * len(options))]
            log -= math.log(len(options))
            seen[node] = True
            found.append(node)
            agenda.append(node)
    return found, log


def _by_neighbours(near: Lists, draws: Generator, order: str) -> tuple[list[int], float]:
    """Always the unvisited node of the greatest label: bits, or the number, of its visited neighbours."""
    n = len(near)
    luck = iter(draws.random(n).tolist())
    labels = [0] * n
    left = set(range(n))
    border: set[int] = set()
    found: list[int] = []
    log = 0.0
    while left:
        best = max((labels[v] for v in border), default=0)
        options = sorted(v for v in border or left if labels[v] == best)
        node = options[int(next(luck) * len(options))]
        log -= math.log(len(options))
        left.discard(node)
        border.discard(node)
        bit = 1 << (n - len(found) if order == "lexbfs" else len(found))
        found.append(node)
        for w in near[node]:
            if w in left:
                labels[w] = labels[w] + 1 if order == "mcs" else labels[w] | bit
                border.add(w)
    return found, log


def removal_order(n: int, edges: Edges, draws: Generator) -> tuple[list[int], float]:
    """G2PT's degree order (arXiv 2501.01073): edge numbers, those taken away last first. Taken away is, again and
    again, an edge from a node of least degree to its neighbour of least degree. Ties are drawn; O(n) an edge."""
    degree = np.bincount(edges.ravel(), minlength=n).tolist()
    ties: list[dict[int, int]] = [{} for _ in range(n)]
    for e, (u, v) in enumerate(edges.tolist()):
        ties[u][e], ties[v][e] = v, u
    alive = [v for v in range(n) if degree[v]]
    taken, log = [], 0.0
    while alive:
        least = min(degree[v] for v in alive)
        options = [v for v in alive if degree[v] == least]
        node = options[int(draws.random() * len(options))]
        lowest = min(degree[w] for w in ties[node].values())
        edge_options = [e for e, w in ties[node].items() if degree[w] == lowest]
        edge = edge_options[int(draws.random() * len(edge_options))]
        other = ties[node].pop(edge)
        chance = 1 / len(edge_options)
        if degree[other] == least and other != node:  # the same edge could have been come by from its other end
            lowest = min(degree[w] for w in ties[other].values())
            if lowest == least:
                chance += 1 / sum(degree[w] == lowest for w in ties[other].values())
        log += math.log(chance / len(options))
        ties[other].pop(edge, None)
        degree[node] -= 1
        degree[other] -= 1
        taken.append(edge)
        if not degree[node] or not degree[other]:
            alive = [v for v in alive if degree[v]]
    return taken[::-1], log


def made_eulerian(n: int, edges: Edges, draws: Generator) -> Edges:
    """(S, 2) the edges and those that must be walked twice so that each part has a walk over all of them.

    Nodes of odd degree are joined along a spanning tree (GraphGPT, arXiv 2401.00529), but for two of each part, where
    the walk starts and ends: O(m), where a least set of repetitions takes a matching.
    """
    near = neighbour_lists(n, edges)
    odd = [len(near[v]) % 2 == 1 for v in range(n)]
    seen = [False] * n
    again: list[tuple[int, int]] = []
    for root in draws.permutation(n).tolist():
        if seen[root]:
            continue
        seen[root] = True
        order, parent = [root], {root: root}
        for v in order:
            for w in near[v]:
                if not seen[w]:
                    seen[w] = True
                    parent[w] = v
                    order.append(w)
        ends = [v for v in order if odd[v]]
        for v in ends[:2]:
            odd[v] = False
        for v in reversed(order[1:]):
            if odd[v]:
                again.append((v, parent[v]))
                odd[parent[v]] = not odd[parent[v]]
    return np.concatenate([edges, np.array(again, np.int64).reshape(-1, 2)])


def euler_walks(n: int, steps: Edges, draws: Generator) -> list[list[int]]:
    """Per part a walk over all its steps, by Hierholzer's algorithm with edges in random order; nodes in a list.

    Raises ValueError where a part has no such walk.
    """
    near: Lists = [[] for _ in range(n)]
    mixed = steps[draws.permutation(len(steps))]
    across: list[int] = (mixed[:, 0] ^ mixed[:, 1]).tolist()  # the other end of a step is this xor the one end
    for code, (u, v) in enumerate(mixed.tolist()):
        near[u].append(code)
        near[v].append(code)
    used = bytearray(len(across))
    seen = bytearray(n)
    walks = []
    for start in _starts(n, steps, draws):
        if seen[start]:
            continue
        stack, found = [start], []
        here, options = start, near[start]
        while True:
            if options:
                code = options.pop()
                if not used[code]:
                    used[code] = 1
                    here ^= across[code]
                    stack.append(here)
                    options = near[here]
                continue
            found.append(here)
            seen[here] = 1
            stack.pop()
            if not stack:
                break
            here = stack[-1]
            options = near[here]
        walks.append(found)
    if sum(map(len, walks)) != len(across) + len(walks) or not _are_linked(walks, steps, n):
        raise ValueError("these steps have no Euler walk")
    return walks if len(walks) < 2 else [walks[i] for i in draws.permutation(len(walks)).tolist()]


def _starts(n: int, steps: Edges, draws: Generator) -> list[int]:
    """All nodes in random order, those of odd degree first: the first of each part is where its walk begins."""
    odd = np.bincount(steps.ravel(), minlength=n) % 2 == 1
    shuffled = draws.permutation(n)
    found: list[int] = np.concatenate([shuffled[odd[shuffled]], shuffled[~odd[shuffled]]]).tolist()
    return found


def _are_linked(walks: list[list[int]], steps: Edges, n: int) -> bool:
    """Whether the walks go along just these steps: where a part has more than two odd nodes, Hierholzer's jumps."""
    walked = np.concatenate([np.array([walk[:-1], walk[1:]]).T for walk in walks])
    mine, theirs = (np.sort(pairs.min(1) * n + pairs.max(1)) for pairs in (walked.reshape(-1, 2), steps))
    return bool(np.array_equal(mine, theirs))


def counted_euler_walks(n: int, steps: Edges, draws: Generator) -> tuple[list[list[int]], float]:
    """The same by Fleury's algorithm, each step uniform among those that do not cut off what is left, with the
    log-probability of the walks as lists of nodes. Takes O(m) a step at worst."""
    left: list[dict[int, int]] = [{} for _ in range(n)]
    for u, v in steps.tolist():
        left[u][v] = left[u].get(v, 0) + 1
        if u != v:
            left[v][u] = left[v].get(u, 0) + 1
    seen: set[int] = set()
    walks, log = [], 0.0
    for start in _starts(n, steps, draws):
        if start in seen:
            continue
        log -= math.log(_start_choices(start, left))
        walk = [start]
        while left[walk[-1]]:
            here = walk[-1]
            options = list(left[here])
            if len(options) > 1:
                options = [w for w in options if not _cuts(left, here, w)]
            there = options[int(draws.random() * len(options))]
            log -= math.log(len(options))
            _take(left, here, there)
            walk.append(there)
        seen.update(walk)
        walks.append(walk)
    return [walks[i] for i in draws.permutation(len(walks)).tolist()], log - math.lgamma(len(walks) + 1)


def _start_choices(start: int, left: list[dict[int, int]]) -> int:
    """From how many nodes of a part its walk may begin."""
    part, agenda = {start}, [start]
    while agenda:
        for w in left[agenda.pop()]:
            if w not in part:
                part.add(w)
                agenda.append(w)
    odd = sum((sum(left[v].values()) + left[v].get(v, 0)) % 2 for v in part)
    return odd or len(part)


def _cuts(left: list[dict[int, int]], u: int, v: int) -> bool:
    """Whether u - v is a bridge of what is left."""
    if u == v or left[u][v] > 1:
        return False
    seen, agenda = {v}, [v]
    while agenda:
        here = agenda.pop()
        for w in left[here]:
            if w == u:
                if here != v:
                    return False
            elif w not in seen:
                seen.add(w)
                agenda.append(w)
    return True


def _take(left: list[dict[int, int]], u: int, v: int) -> None:
    for a, b in ((u, v),) if u == v else ((u, v), (v, u)):
        left[a][b] -= 1
        if not left[a][b]:
            del left[a][b]
