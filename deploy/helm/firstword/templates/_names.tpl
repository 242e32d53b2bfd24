{{/*
All names and labels. Dashboards, alerts and their tests depend on `<fullname>-<pool>`, where fullname is `firstword` or ends in
`-firstword`, and on the container name `firstword`.

A template for a pool takes a dict: {root: $, pool: <an item of firstword.pools>}.
*/}}

{{- define "firstword.fullname" -}}
{{- if or (eq .Release.Name "firstword") (hasSuffix "-firstword" .Release.Name) -}}
{{ .Release.Name }}
{{- else -}}
{{ .Release.Name }}-firstword
{{- end -}}
{{- end -}}

{{/* Labels of all objects. Objects that belong to no pool have only these. */}}
{{- define "firstword.labels" -}}
app.kubernetes.io/name: firstword
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{/* Selector of a pool's pods. It must never change between versions, because selectors are immutable. */}}
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

{{/* {root, image, kind: gpu | cpu | tools} -> image reference. */}}
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

{{/* Ports of every pod. The Service has port 80. */}}
{{- define "firstword.port" -}}8000{{- end -}}
{{- define "firstword.metricsPort" -}}9090{{- end -}}
