"""Random numbers that are the same whenever a session is run again."""

import sys


class AfterImport:
    """Acts on modules right after they are first imported, so that nothing is imported only to be seeded."""

    def __init__(self, actions):
        self.actions = actions
        for name in [name for name in actions if name in sys.modules]:
            actions.pop(name)(sys.modules[name])

    def find_spec(self, name, path=None, target=None):
        action = self.actions.pop(name, None)
        if action is None:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if finder is not self else None
            if spec is not None and hasattr(spec.loader, "exec_module"):
                execute = spec.loader.exec_module

                def execute_and_act(module):
                    execute(module)
                    try:
                        action(module)
                    except Exception:
                        pass  # A module of the cell's own that happens to have this name.

                spec.loader.exec_module = execute_and_act
                return spec
        return None


def seed_what_is_imported(seed, others):
    """`others` are what to do with other modules."""
    seeded = {"random": lambda module: module.seed(seed), "numpy.random": lambda module: module.seed(seed)}
    sys.meta_path.insert(0, AfterImport(seeded | others))


