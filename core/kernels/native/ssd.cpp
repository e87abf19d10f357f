// The state-space dual recurrence of Mamba-2, forward and backward. Threads take pieces of work, each with scratch
// memory of its own; ssd_forward.h and ssd_backward.h work on one.
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

// The sum over parts of one token.
static void add_parts(const Call& call, const Rows& to, const float* parts, int64_t b, int64_t t) {
    const int64_t width = call.groups * call.states;
    const float* from = parts + (b * call.length + t) * call.parts * width;
    for (int64_t c = 0; c < width; c += LANES) {
        const int count = (int)smaller(LANES, width - c);
        Vector sum = {};
        for (int64_t part = 0; part < call.parts; part++) sum += load(from + part * width, FLOAT32, c, count);
        to.put(b, t, c, sum, count);
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
    if (!call->parts_B) return;
#pragma omp parallel for num_threads((int)call->threads)
    for (int64_t i = 0; i < call->batch * call->length; i++) {
        add_parts(*call, call->dB, call->parts_B, i / call->length, i % call->length);
        add_parts(*call, call->dC, call->parts_C, i / call->length, i % call->length);
    }
}
}
