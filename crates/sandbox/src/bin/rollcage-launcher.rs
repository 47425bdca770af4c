//! The launcher as an executable of its own, for programs that cannot start themselves anew.

fn main() {
    rollcage_sandbox::launcher_main_if_asked();
    eprintln!("rollcage-launcher is started by rollcage itself");
    std::process::exit(2);
}
