//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

thread_local! {
    /// Whether this thread is a client's, whose memory is not the server's.
    static CLIENT: Cell<bool> = const { Cell::new(false) };
}

/// Allocations and living bytes, of all threads and of those that are no client's.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);
static SERVER_ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static SERVER_BYTES: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, counted.
pub(crate) struct Counting;

fn count(bytes: i64, allocations: u64) {
    ALLOCATIONS.fetch_add(allocations, Ordering::Relaxed);
    BYTES.fetch_add(bytes, Ordering::Relaxed);
    if !CLIENT.try_with(Cell::get).unwrap_or(true) {
        SERVER_ALLOCATIONS.fetch_add(allocations, Ordering::Relaxed);
        SERVER_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one only counts and passes everything on"
)]
// SAFETY: every call is the system allocator's; counting touches no memory that it manages and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64, 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64, 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64), 0);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64, 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// From now on this thread is a client's.
pub(crate) fn this_thread_is_a_client() {
    CLIENT.set(true);
}

/// Allocations of all threads so far.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// Bytes that live, allocated by all threads.
pub(crate) fn bytes() -> i64 {
    BYTES.load(Ordering::Relaxed)
}

/// Allocations of threads that are no client's.
pub(crate) fn server_allocations() -> u64 {
    SERVER_ALLOCATIONS.load(Ordering::Relaxed)
}

/// Bytes that such threads allocated less those that they freed.
pub(crate) fn server_bytes() -> i64 {
    SERVER_BYTES.load(Ordering::Relaxed)
}
