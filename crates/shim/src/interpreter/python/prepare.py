# Run once at the fork point, in names of its own: `text` is the preload's or None, `leave` what is to be called at the
# end of each program. Leaves `renew`, called in each program's process before the program, and `freeze`.
def prepare(text, leave):
    import sys

    modules = sys.modules
    before = set(modules)
    if text is not None:
        code = compile(text, "<preload>", "exec")
        try:
            exec(code, {"__name__": "__preload__", "__builtins__": __builtins__})
        except SystemExit:
            raise RuntimeError("the preload asked for an exit") from None
    import atexit

    # Registered first, so it is called last.
    atexit.register(leave)
    # A program that imports nothing shall find what it finds without us.
    if text is None:
        for name in set(modules) - before:
            del modules[name]
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()

    # `random` sees to itself.
    def renew():
        numbers = modules.get("numpy.random")
        if numbers is not None:
            numbers.seed()

    def freeze():
        import gc

        if "gc" not in before:
            modules.pop("gc", None)
        gc.collect()
        gc.freeze()

    return renew, freeze


renew, freeze = prepare(text, leave)
del text, leave
