"""Reading traces: every row arrives as it stands, and what is not a trace is refused by name and line."""

import gzip

import pytest

from tiered_cache.errors import ConfigError
from tiered_cache.simulation.traces import Row, read_trace

PLAIN = "ts_ms,key_id,prompt_tokens,output_tokens\n0,0,374,44\n4314,1,396,0\n"


def write(tmp_path, text: str, name: str = "trace.csv"):
    file = tmp_path / name
    file.write_bytes(text.encode())
    return file


def test_rows_come_in_file_order(tmp_path):
    assert list(read_trace(write(tmp_path, PLAIN))) == [Row(0, 0, 374, 44), Row(4314, 1, 396, 0)]


def test_gzip_is_recognised_by_content_not_by_name(tmp_path):
    file = tmp_path / "trace.csv"
    file.write_bytes(gzip.compress(PLAIN.encode()))

    assert list(read_trace(str(file))) == [Row(0, 0, 374, 44), Row(4314, 1, 396, 0)]


def test_tenant_and_other_columns_in_any_order(tmp_path):
    file = write(tmp_path, "tenant,output_tokens,colour,key_id,ts_ms,prompt_tokens\nacme,5,red,7,10,3\n\n")

    assert list(read_trace(file)) == [Row(10, 7, 3, 5, "acme")]


def test_a_trace_without_rows_is_empty(tmp_path):
    assert list(read_trace(write(tmp_path, "ts_ms,key_id,prompt_tokens,output_tokens\n"))) == []


@pytest.mark.parametrize(
    "row", ["1,2,3", "1,x,3,4", "1,2,3,4.5", "1,2,-3,4", "-1,2,3,4", "1,2,3,-4", "1,,3,4", "nan,2,3,4"]
)
def test_a_bad_row_is_named_by_its_line(tmp_path, row):
    with pytest.raises(ConfigError, match="line 4"):
        list(read_trace(write(tmp_path, PLAIN + row + "\n0,0,1,1\n")))


@pytest.mark.parametrize("text", ["", "key_id,size_bytes\n1,2\n", "0,0,374,44\n", '{"text": 1}\n'])
def test_another_kind_of_file_is_refused_by_its_header(tmp_path, text):
    with pytest.raises(ConfigError, match="ts_ms"):
        list(read_trace(write(tmp_path, text)))


def test_a_missing_file_a_folder_and_a_cut_archive_are_refused(tmp_path):
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(PLAIN.encode() * 100)[:-20])
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x01" * 10)

    for path in (tmp_path / "absent.csv", tmp_path, cut, binary):
        with pytest.raises(ConfigError, match=path.name):
            list(read_trace(path))
