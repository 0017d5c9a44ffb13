/* Count what a process does to a folder and the runs below it; at one operation kill it, signal it, or let the operation fail.

   Loaded with LD_PRELOAD; operations.py compiles it and calls arm(). Until then, every call goes straight through. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { RECORD, KILL, TERMINATE, FAIL_ONCE, FAIL_FROM, CUT };

static char folder[PATH_MAX], runs[PATH_MAX + 16];
static long at, count;
static int action, code, record = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* From here on: at the operation with this number, counted from one, do this; write to a descriptor what is done. */
void arm(const char *below, long number, int what, int error, int descriptor) {
  snprintf(folder, sizeof folder, "%s", below);
  snprintf(runs, sizeof runs, "%s/lightning_logs", folder);
  at = number, action = what, code = error, record = descriptor, count = 0;
}

static const char *absolute(const char *path, char *buffer) {
  if (path[0] == '/') return path;
  char here[PATH_MAX / 2];
  snprintf(buffer, PATH_MAX, "%s/%.2000s", getcwd(here, sizeof here) ? here : "", path);
  return buffer;
}

static int is_below(const char *path) {
  return folder[0] && (!strcmp(path, folder) || !strncmp(path, runs, strlen(runs)));
}

static int names_below(int descriptor, char *buffer) {
  char link[64];
  if (!folder[0]) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, buffer, PATH_MAX - 1);
  buffer[length < 0 ? 0 : length] = 0;
  return is_below(buffer);
}

/* Lock, and do what is to be done at this operation; return whether it must fail. */
static int begin(const char *name, const char *path, const char *other, off_t offset, const void *data, size_t size) {
  long number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
  if (number == at && action == KILL) raise(SIGKILL);
  if (number == at && action == TERMINATE) kill(getpid(), SIGTERM);
  pthread_mutex_lock(&lock);
  if (record >= 0) {
    dprintf(record, "%s\t%s\t%s\t%ld\t%zu\n", name, path, other, (long)offset, size);
    if (size && REAL(write)(record, data, size) < 0) raise(SIGKILL);
  }
  int frees = !strcmp(name, "unlink") || !strcmp(name, "truncate");  /* what a full disk allows */
  int fails = (action == FAIL_ONCE && number == at) || (action == FAIL_FROM && number >= at && !frees);
  if (fails) errno = code;
  return fails;
}

static void end(void) {
  int kept = errno;
  pthread_mutex_unlock(&lock);
  errno = kept;
}

static int is_cut(void) { return action == CUT && __atomic_load_n(&count, __ATOMIC_SEQ_CST) == at; }

#define OPEN(name)                                                                      \
  int name(const char *path, int flags, ...) {                                          \
    va_list rest;                                                                       \
    va_start(rest, flags);                                                              \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;           \
    va_end(rest);                                                                       \
    char buffer[PATH_MAX];                                                              \
    const char *whole = absolute(path, buffer);                                         \
    int creates = (flags & O_CREAT) && access(path, F_OK), empties = flags & O_TRUNC;   \
    if (!is_below(whole) || !(creates || empties)) return REAL(name)(path, flags, mode); \
    int result = begin(creates ? "create" : "truncate", whole, "", 0, "", 0) ? -1 : REAL(name)(path, flags, mode); \
    end();                                                                              \
    return result;                                                                      \
  }
OPEN(open)
OPEN(open64)

ssize_t write(int descriptor, const void *data, size_t size) {
  char path[PATH_MAX];
  if (!names_below(descriptor, path)) return REAL(write)(descriptor, data, size);
  struct stat about;
  int appends = fcntl(descriptor, F_GETFL) & O_APPEND;
  off_t offset = appends && !fstat(descriptor, &about) ? about.st_size : lseek(descriptor, 0, SEEK_CUR);
  int fails = begin("write", path, "", offset, data, size);
  if (is_cut()) {
    if (REAL(write)(descriptor, data, size / 2) >= 0) raise(SIGKILL);
  }
  ssize_t result = fails ? -1 : REAL(write)(descriptor, data, size);
  end();
  return result;
}

#define OF_DESCRIPTOR(name, word, declared, passed)        \
  int name declared {                                      \
    char path[PATH_MAX];                                   \
    if (!names_below(descriptor, path)) return REAL(name) passed; \
    int result = begin(word, path, "", size, "", 0) ? -1 : REAL(name) passed; \
    end();                                                 \
    return result;                                         \
  }
#define size 0
OF_DESCRIPTOR(fsync, "fsync", (int descriptor), (descriptor))
OF_DESCRIPTOR(fdatasync, "fsync", (int descriptor), (descriptor))
#undef size
OF_DESCRIPTOR(ftruncate, "truncate", (int descriptor, off_t size), (descriptor, size))
OF_DESCRIPTOR(ftruncate64, "truncate", (int descriptor, off_t size), (descriptor, size))

#define OF_PATH(name, word, declared, passed)              \
  int name declared {                                      \
    char buffer[PATH_MAX];                                 \
    const char *whole = absolute(path, buffer);            \
    if (!is_below(whole)) return REAL(name) passed;        \
    int result = begin(word, whole, "", 0, "", 0) ? -1 : REAL(name) passed; \
    end();                                                 \
    return result;                                         \
  }
OF_PATH(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode))
OF_PATH(unlink, "unlink", (const char *path), (path))
OF_PATH(rmdir, "unlink", (const char *path), (path))

int rename(const char *path, const char *new) {
  char buffer[PATH_MAX], other[PATH_MAX];
  const char *whole = absolute(path, buffer);
  if (!is_below(whole)) return REAL(rename)(path, new);
  int result = begin("rename", whole, absolute(new, other), 0, "", 0) ? -1 : REAL(rename)(path, new);
  end();
  return result;
}
