//! A program does the same, byte for byte, whether its interpreter was started for it or forked.

use rollcage_sandbox::ForkServerSpec;

use crate::harness::{self, Server};

/// Runs each program twice from one server, and once cold.
fn check(spec: &ForkServerSpec, programs: &[(&str, &str)]) {
    let Some(server) = Server::start(spec) else { return };
    for (source, stdin) in programs {
        let cold = server.cold(source, stdin);
        for turn in ["first", "second"] {
            assert_eq!(server.warm(source, stdin), cold, "{turn} time, {:?}, program:\n{source}", spec.argv);
        }
    }
}

#[test]
fn python() {
    check(
        &harness::python(),
        &[
            ("print('hello')\n", ""),
            ("", ""),
            ("import sys\nprint(sum(map(int, sys.stdin.read().split())))\n", "1 2 3\n"),
            ("a = input()\nb = input()\nprint(b, a)\n", "one\ntwo\n"),
            ("import sys\nsys.exit(7)\n", ""),
            ("import sys\nsys.exit('why')\n", ""),
            ("def f():\n    return [][1]\n\n\nprint('before')\nf()\n", ""),
            ("def broken(:\n", ""),
            ("raise KeyboardInterrupt\n", ""),
            ("import os\nos.abort()\n", ""),
            ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nimport time; time.sleep(60)\n", ""),
            ("import os, signal\nsignal.alarm(1)\nsignal.pause()\n", ""),
            ("import sys\nprint(sys.argv, sys.path, __file__, __name__, sys.flags, sys.orig_argv)\n", ""),
            ("print(sorted(globals()), __spec__, __loader__.__class__, __builtins__)\n", ""),
            ("import sys\nprint(sorted(sys.modules))\n", ""),
            ("import sys\nprint(sys.stdin, sys.stdout.line_buffering, sys.stdin.seekable())\n", ""),
            ("import os\nprint(sorted(os.environ.items()), os.getcwd())\n", ""),
            // Zeros behind the last variable may stay; see `environment.rs`.
            ("print(open('/proc/self/environ', 'rb').read().rstrip(b'\\0'))\n", ""),
            ("print(open('/proc/self/cmdline', 'rb').read())\n", ""),
            ("import os\nprint(sorted(os.listdir('/proc/self/fd')))\n", ""),
            ("import os\nprint(os.getpgrp() == os.getpid() == os.getsid(0))\n", ""),
            ("import signal\nprint([signal.getsignal(n) for n in signal.valid_signals()])\n", ""),
            ("import signal\nprint(signal.pthread_sigmask(0, []), signal.sigpending())\n", ""),
            ("import threading\nt = threading.Thread(target=print, args=('x',))\nt.start(); t.join()\n", ""),
            (
                "import threading, os\nprint(threading.active_count(), threading.get_native_id() == os.getpid())\n",
                "",
            ),
            (
                "import subprocess\nprint(subprocess.run(['env'], capture_output=True, text=True).stdout)\n",
                "",
            ),
            (
                "import multiprocessing as m\nif __name__ == '__main__':\n    with m.Pool(2) as p:\n        \
              print(p.map(abs, [-1, -2]))\n",
                "",
            ),
            ("import os\npid = os.fork()\nif pid: print(os.waitpid(pid, 0)[1])\nelse: os._exit(3)\n", ""),
            (
                "import atexit\natexit.register(print, 'at exit')\nclass A:\n    def __del__(self):\n        \
              print('gone')\na = A()\n",
                "",
            ),
            ("import helper\n", ""),
            ("print(open(__file__).read())\n", ""),
            ("import warnings\nwarnings.warn('careful')\n", ""),
            ("import sys\nsys.stdout.write('no newline')\nsys.stderr.write('error')\n", ""),
            ("import random\nrandom.seed(5)\nprint(random.random(), hash(1.5), hash((1, 2)))\n", ""),
            ("import ctypes, sys\nprint(sys.getrecursionlimit(), sys.getswitchinterval())\n", ""),
            ("import sys\ndef f(n): return f(n + 1)\nf(0)\n", ""),
            ("import tempfile, os\nwith tempfile.TemporaryDirectory() as d: print(os.path.isdir(d))\n", ""),
            (
                "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    print('async')\n\
              asyncio.run(main())\n",
                "",
            ),
        ],
    );
}

#[test]
fn perl() {
    check(
        &harness::perl(),
        &[
            ("print \"hello\\n\";\n", ""),
            ("my ($a, $b) = split ' ', <STDIN>; print $a + $b, \"\\n\";\n", "1 2\n"),
            ("exit 7;\n", ""),
            ("use strict;\nprint \"before\\n\";\ndie 'why';\n", ""),
            ("print $0, \" @ARGV \", __FILE__, ' ', __LINE__, \"\\n\";\nmy $x = 1 / 0;\n", ""),
            ("sub broken( {\n", ""),
            ("print map { \"$_=$ENV{$_}\\n\" } sort keys %ENV;\n", ""),
            ("opendir my $d, '/proc/self/fd'; print join(' ', sort readdir $d), \"\\n\";\n", ""),
            ("kill 'TERM', $$; sleep 60;\n", ""),
            ("print while <DATA>;\n__END__\nline one\nline two\n", ""),
            ("print `env`; print $?;\n", ""),
            ("srand(5); print int(rand(1000)), \"\\n\"; warn 'careful';\n", ""),
            ("my $p = fork; if ($p) { waitpid $p, 0; print $? >> 8, \"\\n\" } else { exit 3 }\n", ""),
            ("use POSIX; print getcwd(), ' ', POSIX::getsid(0) == $$ ? 'own' : 'other', \"\\n\";\n", ""),
        ],
    );
}

#[test]
fn ruby() {
    // More than is read at once.
    let long_ruby = format!("p 1\n{}p __LINE__\nraise 'why'\n", "# a line of a long program\n".repeat(2000));
    check(
        &harness::ruby(),
        &[
            ("puts 'hello'\n", ""),
            ("puts gets.split.sum(&:to_i)\n", "1 2\n"),
            ("exit 7\n", ""),
            ("def f = [].fetch(1)\nputs 'before'\nf\n", ""),
            ("def broken(\n", ""),
            ("", ""),
            ("p", ""),
            ("# encoding: ascii-8bit\np __ENCODING__, 'x'.encoding\n", ""),
            ("\u{feff}p __ENCODING__\n1 +\n", ""),
            ("\n\n=begin\ntext\n=end\np __LINE__, DATA.pos, DATA.read\n__END__\nline\n", ""),
            ("__END__\n", ""),
            (&long_ruby, ""),
            ("puts $LOADED_FEATURES, $LOAD_PATH, $!.inspect, Gem::VERSION\n", ""),
            ("nil.lenght\n", ""),
            ("[].frist\n", ""),
            ("p $0, __FILE__, __LINE__, ARGV, __dir__, $PROGRAM_NAME, $LOADED_FEATURES.size\n", ""),
            ("p ENV.to_h.sort, Dir.pwd\n", ""),
            ("p Dir.children('/proc/self/fd').sort\n", ""),
            ("Process.kill(:TERM, $$); sleep 60\n", ""),
            ("trap(:USR1) { puts 'caught' }; Process.kill(:USR1, $$); sleep 0.1\n", ""),
            ("puts DATA.read\n__END__\nline one\n", ""),
            ("puts `env`\n", ""),
            ("srand(5); p rand(1000); warn 'careful'\n", ""),
            ("p fork { exit 3 }.is_a?(Integer), Process.wait2[1].exitstatus\n", ""),
            ("t = 3.times.map { |i| Thread.new { sleep 0.01; i } }; p t.map(&:value)\n", ""),
            ("require 'timeout'\nbegin; Timeout.timeout(0.1) { sleep 5 }; rescue => e; p e.class; end\n", ""),
            ("q = Queue.new; Thread.new { 3.times { |i| q << i } }; p 3.times.map { q.pop }\n", ""),
            ("require 'set'; require 'json'; puts({ a: [1, 2] }.to_json)\n", ""),
            ("at_exit { puts 'at exit' }\nraise 'why'\n", ""),
        ],
    );
}

#[test]
fn php() {
    check(
        &harness::php(),
        &[
            ("<?php\necho \"hello\\n\";\n", ""),
            ("<?php\n[$a, $b] = explode(' ', trim(fgets(STDIN)));\necho $a + $b, \"\\n\";\n", "1 2\n"),
            ("<?php\nexit(7);\n", ""),
            ("<?php\nfunction f() { throw new Exception('why'); }\necho 'before';\nf();\n", ""),
            ("<?php\nfunction broken( {\n", ""),
            ("plain text <?= 1 + 1 ?>\n", ""),
            ("<?php\nvar_dump($argv, __FILE__, __LINE__, __DIR__, getcwd(), $_SERVER['SCRIPT_NAME']);\n", ""),
            ("<?php\n$e = getenv(); ksort($e); var_dump($e);\n", ""),
            ("<?php\necho implode(' ', scandir('/proc/self/fd')), \"\\n\";\n", ""),
            ("<?php\nposix_kill(getmypid(), 15); sleep(60);\n", ""),
            ("<?php\nmt_srand(5); echo mt_rand(), \"\\n\"; echo $undefined;\n", ""),
            ("<?php\necho shell_exec('env');\n", ""),
            ("<?php\nvar_dump(time() - $_SERVER['REQUEST_TIME'] < 5);\n", ""),
            (
                "<?php\nregister_shutdown_function(function () { echo 'at exit'; });\nfwrite(STDERR, 'e');\n",
                "",
            ),
        ],
    );
}

#[test]
fn lua() {
    check(
        &harness::lua(),
        &[
            ("print('hello')\n", ""),
            ("local a, b = io.read('n', 'n') print(a + b)\n", "1 2\n"),
            ("os.exit(7)\n", ""),
            ("local function f() error('why') end\nprint('before')\nf()\n", ""),
            ("function broken(\n", ""),
            ("print(arg[0], arg[-1], #arg, debug.getinfo(1).source)\n", ""),
            ("print(os.getenv('ROLLCAGE_FORK_SOCKET'), os.getenv('LD_PRELOAD'), os.getenv('PATH'))\n", ""),
            ("io.write('no newline') io.stderr:write('error')\n", ""),
            ("for l in io.popen('env; ls /proc/self/fd'):lines() do print(l) end\n", ""),
            ("math.randomseed(5) print(math.random(1000))\n", ""),
            ("local f = io.open('snippet.lua') print(f:read('a'))\n", ""),
        ],
    );
}

#[test]
fn bash() {
    check(
        &harness::bash(),
        &[
            ("echo hello\n", ""),
            ("read a b; echo $((a + b))\n", "1 2\n"),
            ("while read -r line; do echo \"<$line>\"; done; exit 7\n", "one\ntwo\n"),
            ("echo before\nno_such_command\necho after $?\n", ""),
            ("if then\n", ""),
            ("set -u\necho $undefined\n", ""),
            ("echo $0 $# $LINENO $BASH_SOURCE $- $PWD\n", ""),
            ("env | sort | grep -v ^_=; cat /proc/self/environ | tr '\\0' '\\n' | sort | grep -v ^_=\n", ""),
            (
                "[[ $$ = $BASHPID ]] && echo own; [[ $PPID = $(ps -o ppid= $$ | tr -d ' ') ]] && echo parent\n",
                "",
            ),
            ("kill -TERM $$; sleep 60\n", ""),
            ("trap 'echo caught' USR1; kill -USR1 $$; trap 'echo bye' EXIT\n", ""),
            ("ls /proc/$$/fd > listed; cat listed\n", ""),
            ("RANDOM=5; echo $RANDOM; sleep 0 & wait; echo $?; echo a | cat\n", ""),
            ("cat <<X\nhere $((1 + 1))\nX\nx=$(echo sub); echo $x; (exit 3); echo $?\n", ""),
        ],
    );
}

#[test]
fn r() {
    check(
        &harness::r(),
        &[
            ("cat('hello\\n')\n", ""),
            ("1 + 1\nx <- c(1, 2, 3)\nx\nsummary(x)\n", ""),
            ("numbers <- scan(file('stdin'), quiet = TRUE)\ncat(sum(numbers), '\\n')\n", "1 2\n"),
            ("lines <- readLines(file('stdin'))\nprint(rev(lines))\n", "one\ntwo\n"),
            ("quit(status = 3)\n", ""),
            ("f <- function() stop('why')\ncat('before\\n')\nf()\n", ""),
            ("f <- function( {\n", ""),
            ("warning('careful')\nprint(commandArgs())\n", ""),
            ("print(c(getwd(), interactive(), R.home(), Sys.getenv('HOME')))\n", ""),
            ("print(sort(names(Sys.getenv())))\n", ""),
            ("set.seed(5)\nprint(runif(3))\nprint(sample(10))\n", ""),
            (
                "t <- tempfile()\nwriteLines('text', t)\nprint(readLines(t))\nprint(file.exists(tempdir()))\n",
                "",
            ),
            ("print(search())\nprint(loadedNamespaces())\n", ""),
            ("print(system('echo sub; env | grep -v SESSION | sort', intern = TRUE))\n", ""),
            ("print(lm(dist ~ speed, cars))\n", ""),
            ("reg.finalizer(environment(), function(e) cat('gone\\n'), onexit = TRUE)\n", ""),
            (".Last <- function() cat('last\\n')\n", ""),
            ("print(readLines('snippet.R'))\n", ""),
            ("tools::pskill(Sys.getpid(), 15)\nSys.sleep(60)\n", ""),
        ],
    );
}

#[test]
fn ocaml() {
    check(
        &harness::ocaml(),
        &[
            ("print_endline \"hello\"\n", ""),
            ("let () = Scanf.scanf \" %d %d\" (fun a b -> Printf.printf \"%d\\n\" (a + b))\n", "1 2\n"),
            ("let () = exit 7\n", ""),
            ("let () = print_string \"before\"; failwith \"why\"\n", ""),
            ("let f (\n", ""),
            ("let x : int = \"text\"\n", ""),
            ("let () = Array.iter print_endline Sys.argv; print_endline (Sys.getcwd ())\n", ""),
            ("let () = at_exit (fun () -> print_endline \"at exit\")\n", ""),
            ("let () = Random.init 5; print_int (Random.int 1000)\n", ""),
            ("let () = ignore (Sys.command \"env | sort; ls /proc/self/fd\")\n", ""),
            ("let () = List.iter (Printf.printf \"%d \") (List.sort compare [3; 1; 2])\n", ""),
        ],
    );
}

#[test]
fn sqlite() {
    check(
        &harness::sqlite(),
        &[
            ("select 1 + 1;\n", ""),
            ("create table t (a, b);\ninsert into t values (1, 'x'), (2, 'y');\nselect * from t;\n", ""),
            ("select no_such_column;\nselect 2;\n", ""),
            ("select (\n", ""),
            (".mode csv\n.headers on\nselect 1 as a, 'b' as c;\n.shell env | sort\n", ""),
            (".import /dev/stdin t\nselect * from t;\n", "a\nb\n"),
        ],
    );
}
