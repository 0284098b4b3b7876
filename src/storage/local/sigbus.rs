//! A guard that turns SIGBUS into an error.
//!
//! To touch a page of a map that the file no longer has, or that the disk has no room for, raises
//! SIGBUS in the thread that does. [`catch`] runs a function that copies from or to such a map; when
//! the signal comes for an address in it, the handler resumes the thread not at the faulting
//! instruction but behind the call, as `longjmp` would. This is sound because the function in between
//! is plain: it owns nothing that needs dropping, takes no lock and allocates nothing.
//!
//! The way back is written in assembly, since Rust has no `setjmp`: callee-saved registers are
//! pushed, and the stack pointer and the address to resume at are noted in a [`Frame`].

use std::arch::naked_asm;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;

/// Where a thread resumes if it faults, and for which addresses.
#[repr(C)]
struct Frame {
    stack: usize,
    resume: usize,
    guarded: Range<usize>,
}

thread_local! {
    /// The frame of the guarded call that this thread is in. It has a constant initialiser and
    /// nothing to drop, so the handler may read it: it is a plain thread-local load.
    static FRAME: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// The signal came: some of the memory is not there any more.
#[derive(Debug)]
pub(super) struct Fault;

/// Calls `body(argument)`, and reports instead of ending the process if SIGBUS is raised by an
/// access to an address in `guarded`.
///
/// # Safety
///
/// `body` must be safe to call with `argument`, and to abandon at any instruction that accesses an
/// address in `guarded`: it must own nothing, hold no lock, allocate nothing and not unwind. Calls
/// must not be nested.
pub(super) unsafe fn catch<T>(
    guarded: Range<usize>,
    body: unsafe extern "C" fn(*mut T),
    argument: &mut T,
) -> Result<(), Fault> {
    if install().is_err() {
        // Without a handler a fault would end the process: rather read nothing.
        return Err(Fault);
    }
    let mut frame = Frame { stack: 0, resume: 0, guarded };
    let frame_at = &raw mut frame;
    FRAME.set(frame_at);
    // SAFETY: a function pointer keeps its meaning when the type behind its argument is erased.
    let body = unsafe {
        std::mem::transmute::<unsafe extern "C" fn(*mut T), unsafe extern "C" fn(*mut c_void)>(body)
    };
    // SAFETY: `frame` outlives the call; that `body` may be called and abandoned is the caller's
    // promise.
    let faulted = unsafe { enter(frame_at, body, (&raw mut *argument).cast()) };
    FRAME.set(ptr::null());
    if faulted == 0 { Ok(()) } else { Err(Fault) }
}

/// Saves what a called function must preserve, notes in the frame how to come back, and calls
/// `body(argument)`. Returns 0, or 1 if it came back through the frame.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn enter(
    frame: *mut Frame,
    body: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
) -> usize {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        // Seven words with the return address: one more aligns the stack to 16 bytes.
        "sub rsp, 8",
        "mov [rdi], rsp",
        "lea rax, [rip + 2f]",
        "mov [rdi + 8], rax",
        "mov rdi, rdx",
        "call rsi",
        "xor eax, eax",
        "jmp 3f",
        "2:",
        "mov eax, 1",
        "3:",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// See the other architecture.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn enter(
    frame: *mut Frame,
    body: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
) -> usize {
    naked_asm!(
        "stp x29, x30, [sp, #-160]!",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "mov x9, sp",
        "adr x10, 2f",
        "stp x9, x10, [x0]",
        "mov x9, x1",
        "mov x0, x2",
        "blr x9",
        "mov x0, #0",
        "b 3f",
        "2:",
        "mov x0, #1",
        "3:",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #160",
        "ret",
    )
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("npyfs knows how to survive SIGBUS on x86-64 and aarch64 only");

/// Points an interrupted thread at its frame.
#[cfg(target_arch = "x86_64")]
fn redirect(context: &mut libc::ucontext_t, frame: &Frame) {
    context.uc_mcontext.gregs[libc::REG_RSP as usize] = frame.stack.cast_signed() as i64;
    context.uc_mcontext.gregs[libc::REG_RIP as usize] = frame.resume.cast_signed() as i64;
}

/// Points an interrupted thread at its frame.
#[cfg(target_arch = "aarch64")]
fn redirect(context: &mut libc::ucontext_t, frame: &Frame) {
    context.uc_mcontext.sp = frame.stack as u64;
    context.uc_mcontext.pc = frame.resume as u64;
}

/// Installs the handler, once.
fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<Option<i32>> = OnceLock::new();
    let failed = INSTALLED.get_or_init(|| {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        let at = action.as_mut_ptr();
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_sigbus;
        // SAFETY: `at` points to a zeroed sigaction, for which all zeros are a valid value.
        let action = unsafe { &mut *at };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the action is complete, and its handler calls only async-signal-safe functions.
        let result = unsafe { libc::sigaction(libc::SIGBUS, action, ptr::null_mut()) };
        (result != 0).then(|| io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL))
    });
    failed.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
}

extern "C" fn on_sigbus(_signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler that asked for one.
    let info = unsafe { &*info };
    // SAFETY: SIGBUS sets the address.
    let address = unsafe { info.si_addr() } as usize;
    let frame = FRAME.get();
    // SAFETY: the pointer is null or to the frame of the call that this very thread is in.
    match unsafe { frame.as_ref() } {
        Some(frame) if frame.guarded.contains(&address) => {
            // SAFETY: the kernel passes the interrupted thread's context, and takes it back.
            redirect(unsafe { &mut *context.cast::<libc::ucontext_t>() }, frame);
        }
        _ => {
            // Not ours: the fault repeats on return and ends the process, as it would have.
            // SAFETY: signal(2) is async-signal-safe, and SIG_DFL is no handler.
            unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
        }
    }
}
