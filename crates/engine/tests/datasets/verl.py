"""Writes the two fixtures: python3 verl.py DIRECTORY, with pyarrow."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def row(index, ground_truth, style="rule"):
    return {
        "data_source": "codecontests",
        "prompt": [
            {"role": "system", "content": "Answer with a program."},
            {"role": "user", "content": f"Task {index}."},
        ],
        "ability": "code",
        "reward_model": {"style": style, "ground_truth": ground_truth},
        "extra_info": {"split": "train", "index": index, "answer": None, "lengths": [1.5, float("nan")]},
    }


ROWS = [
    row(0, json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]})),
    row(1, json.dumps({"inputs": ["[1, 2]\n3", "[]\n1"], "outputs": ["[1, 2, 3]", "[1]"], "fn_name": "add"})),
    row(2, json.dumps({"inputs": [""], "outputs": [""], "assert_case": ["assert add([], 1) == [1]"]})),
    row(3, "42"),
    row(4, "", "model"),
]

for codec in ("snappy", "zstd"):
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table, f"{sys.argv[1]}/verl.{codec}.parquet", compression=codec, row_group_size=2)
