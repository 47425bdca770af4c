//! Scratch.
use rollcage_sandbox::*;
use rollcage_types::*;
fn main() {
    launcher_main_if_asked();
    let t=std::time::Instant::now();
    let host = match Host::start(&HostConfig::default()) { Ok(h)=>h, Err(e)=>{ eprintln!("{e:?}"); return; } };
    eprintln!("start {:?}", t.elapsed());
    let args: Vec<String> = std::env::args().skip(1).collect();
    let req = ExecRequest::new(args);
    for _ in 0..3 {
    let t=std::time::Instant::now();
    match host.run(&req, &Cancel::new()) {
        Ok(o) => eprintln!("{:?} {:?} {:?}\nout={}\nerr={}", t.elapsed(), o.termination, o.usage, o.stdout.to_text(), o.stderr.to_text()),
        Err(e) => eprintln!("{e:?}"),
    }}
    let n=3000;
    let t=std::time::Instant::now();
    let mut v=vec![];
    for _ in 0..n { let s=std::time::Instant::now(); let _=host.run(&req,&Cancel::new()); v.push(s.elapsed()); }
    v.sort();
    eprintln!("{} /s p50 {:?} p90 {:?} p99 {:?}", n as f64/t.elapsed().as_secs_f64(), v[n/2], v[n*9/10], v[n*99/100]);
    for th in [2,3,4] {
    let t=std::time::Instant::now();
    std::thread::scope(|s| for _ in 0..th { s.spawn(|| for _ in 0..n/th { let _=host.run(&req,&Cancel::new()); }); });
    eprintln!("{th} threads {} /s", n as f64/t.elapsed().as_secs_f64());
    }
    let mut v=vec![];
    for _ in 0..n { let s=std::time::Instant::now(); let _=std::process::Command::new(&req.argv[0]).args(&req.argv[1..]).output(); v.push(s.elapsed()); }
    v.sort();
    eprintln!("bare p50 {:?} p90 {:?} p99 {:?}", v[n/2], v[n*9/10], v[n*99/100]);
    let t=std::time::Instant::now();
    std::thread::scope(|s| for _ in 0..2 { s.spawn(|| for _ in 0..n/2 { let _=std::process::Command::new(&req.argv[0]).args(&req.argv[1..]).output(); }); });
    eprintln!("bare 2 threads {} /s", n as f64/t.elapsed().as_secs_f64());
}
