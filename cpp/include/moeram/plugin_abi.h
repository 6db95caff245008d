/* The binary interface between moeram and plug-ins in shared libraries: plain C, so that a plug-in need not be built with
 * moeram's compiler or linked with anything of moeram. C++ plug-ins use plugin.h, which is written on top of this.
 *
 * Rules: every pointer that a call hands over is valid during that call, except those of moeram_device, which live as
 * long as the component. Nothing may be thrown across. A call that fails returns another value than 0 and has called
 * host->fail with a message. Components of different channels and runs may be used by different threads, one at a time
 * each. Any change to this file that is not an addition at the end of moeram_host changes MOERAM_PLUGIN_ABI. */
#ifndef MOERAM_PLUGIN_ABI_H
#define MOERAM_PLUGIN_ABI_H

#include <stdint.h>

#define MOERAM_PLUGIN_ABI 1
#define MOERAM_LEVELS 8

/* The function that every plug-in exports: const moeram_plugin* moeram_plugin_entry(void). */
#define MOERAM_PLUGIN_ENTRY "moeram_plugin_entry"

#ifdef __cplusplus
extern "C" {
#endif

enum moeram_command_flags { MOERAM_OPENING = 1, MOERAM_CLOSING = 2, MOERAM_ACCESSING = 4, MOERAM_REFRESHING = 8 };

typedef struct moeram_command {
  const char* name;
  int32_t scope; /* level at which the command stops */
  uint32_t flags;
} moeram_command;

/* One channel of a resolved DRAM. Addresses have an entry per level, channel first; -1 = all nodes of the level. */
typedef struct moeram_device {
  const char* standard;
  int32_t channel;
  int32_t levels, bank_level, row_level, column_level;
  const char* const* level_names;
  const int32_t* level_sizes;
  int32_t commands;
  const moeram_command* command;
  int32_t requests; /* 0 is read, 1 is write */
  const char* const* request_names;
  int64_t tck_ps;
} moeram_device;

typedef struct moeram_request {
  int64_t byte_address; /* -1: none */
  int32_t address[MOERAM_LEVELS];
  int32_t kind;   /* index of request_names */
  int32_t source; /* core, -1 if none */
  int32_t bank;   /* flat in the channel, -1 with wildcards */
  int64_t arrive; /* cycle, -1 for requests of the controller's own parts */
} moeram_request;

/* What moeram does for a component. `self` is always the first argument of its functions. */
typedef struct moeram_host {
  void* self;
  /* The value at a key of the component's map in the configuration as text; NULL if absent. create only. */
  const char* (*option)(void* self, const char* key);
  /* A timing parameter such as "nRCD" in cycles; -1 if the standard has none of that name. */
  int64_t (*timing_cycles)(void* self, const char* name);
  /* A message for the user; the call that reports it then returns another value than 0 (create: NULL). */
  void (*fail)(void* self, const char* message);
  /* A statistic of the component. finish only. */
  void (*add_integer)(void* self, const char* name, int64_t value);
  void (*add_number)(void* self, const char* name, double value);
  /* Row policies, in on_choice only: a request ahead of all normal traffic, seen from the next tick on. 0: accepted,
   * 1: the queue is full, -1: no such kind. */
  int32_t (*send_first)(void* self, int32_t kind, const int32_t address[MOERAM_LEVELS]);
} moeram_host;

enum moeram_component_kind { MOERAM_CONTROLLER_LISTENER = 1, MOERAM_ROW_POLICY = 2 };

/* One component of a plug-in. moeram makes one object per channel. */
typedef struct moeram_component {
  int32_t kind;
  const char* name; /* the `impl` of the configuration */
  void* (*create)(const moeram_host* host, const moeram_device* device);
  /* A command of this channel is about to be issued. Of row policies too. */
  int32_t (*on_command)(void* object, int64_t cycle, int32_t command, const moeram_request* request);
  int32_t (*finish)(void* object);
  void (*destroy)(void* object);
} moeram_component;

typedef struct moeram_plugin {
  uint32_t abi; /* MOERAM_PLUGIN_ABI of the headers that the plug-in was built with; must stay the first field */
  int32_t components;
  const moeram_component* component;
} moeram_plugin;

#ifdef __cplusplus
}
#endif
#endif
