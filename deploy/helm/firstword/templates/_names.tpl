{{/*
Every name and label, once. Dashboards, alerts and their tests count on `<fullname>-<pool>`, with a fullname that is `firstword` or ends
in `-firstword`, and on the container's name `firstword`.

A template that works on a pool takes a dict: {root: $, pool: <of firstword.pools>}.
*/}}

{{- define "firstword.fullname" -}}
{{- if or (eq .Release.Name "firstword") (hasSuffix "-firstword" .Release.Name) -}}
{{ .Release.Name }}
{{- else -}}
{{ .Release.Name }}-firstword
{{- end -}}
{{- end -}}

{{/* Of everything: what belongs to no pool has just these. */}}
{{- define "firstword.labels" -}}
app.kubernetes.io/name: firstword
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{/* Which pods are a pool's: never changes between versions. */}}
{{- define "firstword.selectorLabels" -}}
app.kubernetes.io/name: firstword
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: server
firstword.io/pool: {{ .pool.name | quote }}
{{- end -}}

{{- define "firstword.poolLabels" -}}
{{ include "firstword.labels" .root }}
app.kubernetes.io/component: server
firstword.io/pool: {{ .pool.name | quote }}
{{- end -}}

{{/* {root, image, kind: gpu | cpu | tools} -> what to pull. */}}
{{- define "firstword.image" -}}
{{- $tag := .image.tag | default (printf "%s-%s" .root.Chart.AppVersion .kind) -}}
{{- if .image.digest -}}
{{ printf "%s@%s" .image.repository .image.digest }}
{{- else -}}
{{ printf "%s:%s" .image.repository $tag }}
{{- end -}}
{{- end -}}

{{- define "firstword.keysSecret" -}}
{{ .Values.keys.existingSecret | default (printf "%s-keys" (include "firstword.fullname" .)) }}
{{- end -}}

{{/* Ports of every pod; the Service has 80 for turns. */}}
{{- define "firstword.port" -}}8000{{- end -}}
{{- define "firstword.metricsPort" -}}9090{{- end -}}
