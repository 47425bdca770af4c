# Run behind a preload, where the interpreter that sessions are copies of has its libraries: does what cells will do, so that
# what is imported and built for it only then is there, and shared by all.
def exercise():
    import sys

    if "pandas" in sys.modules:
        import pandas

        frame = pandas.DataFrame({"a": [1, 2, 3], "b": [1.5, None, 2.5], "c": ["x", "y", "x"]})
        repr(frame), frame._repr_html_(), repr(frame.describe()), repr(frame["a"]), frame.head(1).to_json(orient="table")
        repr(frame.groupby("c").agg({"a": "sum", "b": "mean"}))
        repr(frame.merge(frame, on="a").sort_values("b_x").dropna())
        repr(frame.pivot_table(index="c", values="a")), repr(frame["c"].value_counts())
        frame[frame["a"] > 1].assign(d=lambda it: it["a"] * 2).corr(numeric_only=True)
        pandas.to_datetime(pandas.Series(["2024-01-02"])).dt.year.sum()
    if "numpy" in sys.modules:
        import numpy

        repr(numpy.arange(6.0).reshape(2, 3) @ numpy.ones((3, 2)))


try:
    # Often enough for the interpreter to have made up its mind about the code, which it writes into it.
    for _ in range(20):
        exercise()
except Exception:
    pass  # A library of another version. It is only slower.
del exercise
