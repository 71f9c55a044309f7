//! What compiling may take: the child that compiles ends by itself when it needs too much memory, and is ended when its time is over.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MEBIBYTE: u64 = 1 << 20;

/// An unsigned LEB128.
fn number(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

fn sized(id: Option<u8>, body: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = id.into_iter().collect();
    number(body.len(), &mut out);
    out.extend_from_slice(body);
    out
}

/// A component of less than 400 KB whose one function has as many locals and loops, each of which touches two of them: the compiler
/// keeps every local at every loop.
fn costly() -> Vec<u8> {
    const LOCALS: usize = 20_000;
    let mut code = Vec::new();
    number(1, &mut code);
    number(LOCALS, &mut code);
    code.push(0x7e); // i64
    for at in 0..LOCALS {
        let (one, two) = ((at * 7_919) % LOCALS, (at * 104_729) % LOCALS);
        code.extend([0x03, 0x40]); // loop
        for (op, local) in [(0x20, one), (0x20, two)] {
            code.push(op); // local.get
            number(local, &mut code);
        }
        code.push(0x7c); // i64.add
        for op in [0x21, 0x20] {
            code.push(op); // local.set, local.get
            number(one, &mut code);
        }
        code.extend([0x50, 0x0d, 0x00, 0x0b]); // i64.eqz, br_if 0, end
    }
    code.push(0x0b);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend(sized(Some(1), &[1, 0x60, 0, 0]));
    module.extend(sized(Some(3), &[1, 0]));
    let functions = [vec![1], sized(None, &code)].concat();
    module.extend(sized(Some(10), &functions));
    [b"\0asm\x0d\0\x01\0".to_vec(), sized(Some(1), &module)].concat()
}

/// What the compiler makes of a component: its exit code, the bytes of native code, what it says.
fn compiled(component: &[u8], memory: u64) -> (Option<i32>, usize, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flusso-host"))
        .args(["compile-component", &memory.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{error}"));
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(component);
    }
    let ended = child.wait_with_output().unwrap_or_else(|error| panic!("{error}"));
    (ended.status.code(), ended.stdout.len(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn a_small_component_that_needs_gigabytes_ends_its_compiler_alone() {
    let component = costly();
    assert!(component.len() < 400_000, "{}", component.len());
    let started = Instant::now();
    let (code, bytes, said) = compiled(&component, 300 * MEBIBYTE);
    assert_eq!((code, bytes), (Some(9), 0), "{said}");
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn what_is_no_component_is_refused_with_the_reason() {
    let (code, bytes, said) = compiled(b"\0asm\x0d\0\x01\0\x01\x05nope!", 300 * MEBIBYTE);
    assert_eq!((code, bytes), (Some(1), 0));
    assert!(!said.trim().is_empty() && !said.contains("panicked"), "{said}");
    let (code, bytes, said) = compiled(b"\0asm\x0d\0\x01\0", 300 * MEBIBYTE);
    assert!(code == Some(0) && bytes > 0, "an empty component is one: {said}");
}
