from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from edge_autoglm.device.cpu import cpu_identity, detect_cpu, parse_sysctl
from tests.device.machine import machine

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="describes machines by the files of Linux")

XEON_FLAGS = (
    "fpu sse sse2 sse4_2 avx f16c fma avx2 avx512f avx512dq avx512bw avx512vl avx_vnni avx512_bf16 avx512_vnni "
    "amx_bf16 amx_tile amx_int8"
)
XEON = "\n".join(
    f"""\
processor\t: {number}
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8481C
stepping\t: 8
flags\t\t: {XEON_FLAGS}
bugs\t\t: spectre_v1
"""
    for number in range(2)
)
ORIN = """\
processor\t: 0
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp uscat
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd42
CPU revision\t: 1
"""
BIG_LITTLE = """\
processor\t: 0
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd05
CPU revision\t: 0

processor\t: 1
Features\t: fp asimd asimddp i8mm bf16 sve
CPU implementer\t: 0x51
CPU part\t: 0x804
CPU revision\t: 14
"""
RASPBERRY_32_BIT = "model name\t: ARMv7 Processor rev 3 (v7l)\nFeatures\t: half thumb fastmult vfp edsp neon vfpv3\n"


@pytest.mark.parametrize(
    ("cpuinfo", "model", "features"),
    [
        (
            XEON,
            "Intel(R) Xeon(R) Platinum 8481C (6/143/8)",
            "sse4.2 avx avx2 fma f16c avx_vnni avx512f avx512bw avx512dq avx512vl avx512_vnni avx512_bf16 "
            "amx_int8 amx_bf16",
        ),
        (ORIN, "Cortex-A78AE", "neon fp16 dotprod"),
        (BIG_LITTLE, "Cortex-A55 + ARM 0x51:0x804", "neon dotprod i8mm bf16 sve"),
        (RASPBERRY_32_BIT, "ARMv7 Processor rev 3 (v7l)", "neon"),
        ("processor: 0\nisa: rv64imafdcv\n", "unknown", ""),
    ],
)
def test_cpuinfo(tmp_path: Path, cpuinfo: str, model: str, features: str) -> None:
    root = machine(tmp_path, {"proc/cpuinfo": cpuinfo})
    cpu = detect_cpu(root)
    assert cpu.model == model
    assert cpu.features == tuple(features.split())
    assert cpu_identity(root) == f"{model}; {platform.machine()}; {features}"


def test_features_are_found_by_name(tmp_path: Path) -> None:
    cpu = detect_cpu(machine(tmp_path, {"proc/cpuinfo": ORIN}))
    assert cpu.has("avx_vnni", "dotprod")
    assert not cpu.has("avx_vnni", "i8mm")


def test_threads_of_a_core_count_once(tmp_path: Path) -> None:
    siblings = {
        f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": f"{n % 2},{n % 2 + 2}\n" for n in range(4)
    }
    cpu = detect_cpu(machine(tmp_path, {"proc/cpuinfo": XEON, **siblings}))
    assert cpu.physical_cores == 2
    assert cpu.logical_cores == os.cpu_count()


def test_what_the_system_hides_is_unknown(tmp_path: Path) -> None:
    cpu = detect_cpu(tmp_path)
    assert cpu.features is None
    assert cpu.physical_cores is None
    assert not cpu.has("avx2")
    assert cpu_identity(tmp_path).endswith("; features unknown")


def test_a_mac() -> None:
    cpu = parse_sysctl(
        "machdep.cpu.brand_string: Apple M2\nhw.physicalcpu: 8\nhw.optional.floatingpoint: 1\nhw.optional.neon: 1\n"
        "hw.optional.arm.AdvSIMD: 1\nhw.optional.arm.FEAT_FP16: 1\nhw.optional.arm.FEAT_DotProd: 1\n"
        "hw.optional.arm.FEAT_I8MM: 1\nhw.optional.arm.FEAT_BF16: 1\nhw.optional.arm.FEAT_SME: 0\n"
    )
    assert (cpu.model, cpu.physical_cores) == ("Apple M2", 8)
    assert cpu.features == ("neon", "fp16", "dotprod", "i8mm", "bf16")


def test_a_mac_whose_sysctl_says_nothing() -> None:
    assert parse_sysctl("").features is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine() -> None:
    assert cpu_identity() == cpu_identity()
    cpu = detect_cpu()
    assert cpu.features is not None
    assert cpu.physical_cores is None or 1 <= cpu.physical_cores <= cpu.logical_cores
