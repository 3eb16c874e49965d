# Goal: the simulation finds a fault of each kind that the protocol guards against.
# Method: a copy of one source with one guard taken out; see the list below.
#
#   cmake -DNAME=<mutant> -DSOURCES=<net/src> -DOUT=<file> -P mutate.cmake

# change(FILE FROM TO): FROM must be there once, or the mutant is out of date.
function(change file from to)
  if(NOT DEFINED text)
    file(READ ${SOURCES}/${file} text)
  endif()
  string(FIND "${text}" "${from}" first)
  string(FIND "${text}" "${from}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "mutant ${NAME}: ${file} does not hold this once: ${from}")
  endif()
  string(REPLACE "${from}" "${to}" text "${text}")
  set(text "${text}" PARENT_SCOPE)
endfunction()

if(NAME STREQUAL "skip_deduplication")
  change(inbox.cpp "if (header.sequence <= received_) return false;" "")
elseif(NAME STREQUAL "acknowledge_early")
  change(session.cpp "    l.reader.accept();\n"
         "    if (header.type == FrameType::message) l.in.arrived(header, now_ns);\n    l.reader.accept();\n")
  change(session.cpp "      l.in.arrived(header, now_ns);\n      l.faults" "      l.faults")
elseif(NAME STREQUAL "forget_epoch")
  change(session.cpp "if (delivery.epoch >= epoch_) return delivery;" "return delivery;")
elseif(NAME STREQUAL "epoch_when_written")
  change(session.cpp "header.epoch = message->epoch;" "header.epoch = epoch_;")
elseif(NAME STREQUAL "leak_fenced_credit")
  change(session.cpp "    l.in.release(delivery.frame_bytes, now_ns);\n    l.fenced" "    l.fenced")
elseif(NAME STREQUAL "trust_silence")
  change(session.cpp "if (mute || silent) lose" "if (mute) lose")
elseif(NAME STREQUAL "keep_half_frame")
  change(session.cpp "  l.close_wanted = true;\n  l.link = Lane::Link::closed;\n  l.reader.reset();"
         "  l.close_wanted = true;\n  l.link = Lane::Link::closed;")
elseif(NAME STREQUAL "forget_to_resend")
  change(outbox.cpp "  written_ = 0;\n  return {};" "  return {};")
elseif(NAME STREQUAL "add_credit_up")
  change(outbox.cpp "limit_ = std::max(limit_, acked_ + header.credit_messages);"
         "limit_ += header.credit_messages;")
elseif(NAME STREQUAL "forget_window")
  change(outbox.cpp " &&\n         unacknowledged_bytes() + frame_bytes <= window_bytes_" "")
elseif(NAME STREQUAL "ignore_gaps")
  change(inbox.cpp "if (header.sequence > received_ + 1)" "if (header.sequence == 0)")
elseif(NAME STREQUAL "skip_checksums")
  change(frame.cpp " != checksum_)" " != checksum_ && false)")
else()
  message(FATAL_ERROR "no mutant ${NAME}")
endif()
file(WRITE ${OUT} "${text}")
