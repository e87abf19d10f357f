// The state-space dual recurrence of Mamba-2, forward and backward. Threads take pieces of work, each with scratch memory
// of its own; ssd_forward.h and ssd_backward.h work on one.
#include "ssd_backward.h"
#include "ssd_forward.h"

template <class Direction>
static void run(const Call& call) {
    const int64_t floats = Direction(call, nullptr).taken;
#pragma omp parallel num_threads((int)call.threads)
    {
        Direction direction(call, call.scratch + omp_get_thread_num() * floats);
#pragma omp for schedule(dynamic)
        for (int64_t piece = 0; piece < call.batch * call.groups * call.parts; piece++) direction.run(piece);
    }
}

extern "C" {

int64_t foretell_ssd_kept(const Call* call) { return kept_floats(*call); }

// Floats of `scratch` a thread, enough for both directions.
int64_t foretell_ssd_scratch(const Call* call) { return Backward<false>(*call, nullptr).taken; }

void foretell_ssd_forward(const Call* call) {
    in_pairs(*call) ? run<Forward<HAS_PAIRS>>(*call) : run<Forward<false>>(*call);
}

void foretell_ssd_backward(const Call* call) {
    in_pairs(*call) ? run<Backward<HAS_PAIRS>>(*call) : run<Backward<false>>(*call);
}
}
