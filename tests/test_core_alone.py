"""The core needs none of the extras."""

from __future__ import annotations

import subprocess
import sys

CORE_ONLY = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tvm", "tvm_ffi", "torch", "safetensors", "xgboost", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import balto

pool = balto.read_pool(sys.argv[1])
result = balto.replay(pool, model="xgb", budget=0.2, rounds=3)
balto.save_model(result.model, sys.argv[2], {})
model, _ = balto.load_model(sys.argv[2])
assert (model.predict(pool.features) == result.model.predict(pool.features)).all()
balto.write_pool(pool, sys.argv[3])
with balto.Campaign(sys.argv[4], balto.Config(pool=sys.argv[3], budget=0.2, rounds=2)) as campaign:
    campaign.run()
try:
    balto.create_model("mlp")
except balto.BaltoError as error:
    print(error)
print(result)
"""


def test_the_core_alone_replays_a_pool(pool_path, tmp_path):
    """In a process that finds neither TVM nor torch, XGBoost or ONNX."""
    places = [str(pool_path), *(str(tmp_path / name) for name in ("m.balto", "p", "w"))]
    out = subprocess.run(
        [sys.executable, "-c", CORE_ONLY, *places], capture_output=True, text=True, check=False
    )
    assert out.returncode == 0, out.stderr
    advice, result = out.stdout.splitlines()
    assert advice == "the cost model mlp needs torch: pip install 'balto[torch]'"
    assert result.startswith("biased-lcmd with xgb: 3 rounds, 27 measurements, Top-1 ")
