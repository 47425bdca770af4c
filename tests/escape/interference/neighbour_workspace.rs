//! The workspace of the cage next door.

use crate::harness::{Companion, Probe, Risk};

pub(crate) const PROBE: Probe = Probe {
    companion: Companion::Neighbour(COMPANION),
    ..Probe::new("neighbour_workspace", Risk::Interference, ATTACK)
};

const ATTACK: &str = r#"
them = sys.argv[1]


def write(path):
    with open(path, "w") as file:
        file.write("harmed")
    return path


paths = [f"/proc/{them}/{entry}" for entry in ("cwd/treasure", "root/ws/work/treasure", "root/tmp/treasure")]
paths += [f"/proc/{pid}/cwd/treasure" for pid in processes()]
# Where workspaces are directories of one tree, the neighbour's is a few steps away.
paths += [f"{WORKSPACE}/../../{slot}/{kind}/treasure" for slot in range(4) for kind in ("work", "tmp") if f"/{slot}/" not in WORKSPACE]
expect_refusal("neighbour", [(path, lambda path=path: write(path)) for path in paths])
"#;

const COMPANION: &str = r#"
with open("treasure", "w") as file:
    file.write("mine")
with open(f"{TEMPORARY}/treasure", "w") as file:
    file.write("mine")
ready()
while True:
    for path in ("treasure", f"{TEMPORARY}/treasure"):
        with open(path) as file:
            if file.read() != "mine":
                print("HARMED", flush=True)
                os._exit(1)
    os.sched_yield()
"#;
