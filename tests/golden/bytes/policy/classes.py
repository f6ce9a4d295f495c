from __future__ import annotations
import numpy as np
class Cover:
    def __init__(self, points: np.ndarray) -> None:
        self.left = np.full(len(points), np.inf)
    def pick(self, *, k: int = 5) -> list[int]:
        match k:
            case 0: return []
            case _: pass
        return [int(i) for i in np.argsort(self.left)[:k] if (found := self.left[i]) > 0]
async def never(): yield
with open("/pool/rows.jsonl", "rb") as f, open("out.txt", "w") as g:
    g.write(str(Cover(np.frombuffer(f.read(), np.uint8)).pick(k=3)))
