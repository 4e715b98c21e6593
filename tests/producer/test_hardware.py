import platform

from mlpf.producer import hardware


def test_the_processor_has_the_name_that_the_system_gives_it(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Abacus 3000: wood\n\nprocessor : 1\nmodel name\t: other\n")
    assert hardware.processor_name("cpu") == "Abacus 3000: wood"
    (tmp_path / "cpuinfo").write_text("processor : 0\n")
    assert hardware.processor_name("cpu") == (platform.processor() or None)


def test_gpus_are_named_once_each(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "GPU_INFO", tmp_path)
    assert hardware.processor_name("cuda") is None
    for slot, name in (("0000:01", "NVIDIA A"), ("0000:02", "NVIDIA B"), ("0000:03", "NVIDIA A")):
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "information").write_text(f"Model: \t\t {name}\nIRQ:   17\n")
    assert hardware.processor_name("cuda") == "NVIDIA A, NVIDIA B"
